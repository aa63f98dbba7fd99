"""Pictures in ID3v2 tags. Frames are edited as raw bytes.

Other frames are never decoded and encoded again, so that they are preserved byte for byte: unknown
frames, flags, odd encodings, and multiple values.

Source: ID3v2.2.0, ID3v2.3.0, ID3v2.4.0 (id3.org).
"""

import io
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import BinaryIO

import mutagen
from mutagen.id3 import ID3

from covergen.core.picture import Picture
from covergen.library.formats import keys
from covergen.library.formats.embedded_picture import (
    FRONT_COVER,
    LINK,
    EmbeddedPicture,
    PictureFilter,
)
from covergen.library.formats.id3_frames import (
    UNSYNCHRONISED,
    Frame,
    Tag,
    check_header,
    check_tag_cost,
    has_frames,
    join_tag,
    padded_tag,
    parse_tag,
    unsynchronised,
)
from covergen.library.formats.id3_places import to_synchsafe
from covergen.library.formats.tag_format import Place, TagFormat
from covergen.library.formats.texts_for_id3 import as_id3, texts_to_repeat
from covergen.library.mutagen_errors import DAMAGE

_NEW_VERSION = 3  # Windows Explorer and many car stereos cannot read 2.4


def tags_at(place: Place) -> TagFormat:
    """ID3v2 tags in this place of a file."""
    return TagFormat(
        keys=keys.ID3,
        pictures=pictures,
        others=others,
        edit=partial(edit, place=place),
        rest=partial(rest, place=place),
        check=partial(check, place=place),
        check_cost=partial(check_cost, place=place),
        texts=place.texts,
        place=place,
        prefill=partial(prefill, place=place),
    )


def check_cost(file: BinaryIO, place: Place) -> None:
    """Raise OverflowError for a tag that takes a parser far more time or memory than its size.

    Raises OSError.
    """
    with suppress(ValueError, struct.error):  # damaged: parsing stops early
        check_tag_cost(place.read(file))


def pictures(file: mutagen.FileType) -> list[EmbeddedPicture]:
    """The attached pictures in tag order, without links."""
    return [] if file.tags is None else _pictures_of(file.tags)


def _pictures_of(tags: ID3) -> list[EmbeddedPicture]:
    frames = tags.getall("APIC")
    return [EmbeddedPicture(f.data, int(f.type)) for f in frames if f.mime != LINK]


def others(file: mutagen.FileType) -> object:
    """All frames except pictures, as mutagen reads them."""
    tags = file.tags or {}
    return {key: repr(frame) for key, frame in tags.items() if frame.FrameID != "APIC"}


def further_tags(file: BinaryIO, place: Place, opened: mutagen.FileType) -> list[ID3]:
    """Return the undamaged ID3v2 tags that mutagen ignores, in the order that players prefer.

    `opened` is the file as opened by mutagen. Raises OSError.
    """
    found: list[ID3] = []
    with suppress(*DAMAGE):
        # A tag of many megabytes that mutagen has read must not be read again.
        first = b"" if isinstance(opened.tags, ID3) else place.read(file)
        for data in [*([first] if first else []), *place.others(file)]:
            check_tag_cost(data)
            found += [_as_mutagen(data)]
    return found


def further_pictures(file: BinaryIO, place: Place, tags: Iterable[ID3]) -> list[EmbeddedPicture]:
    """Return the pictures in a file's further ID3v2 `tags` and in its tags of other kinds."""
    return [*(picture for tag in tags for picture in _pictures_of(tag)), *place.pictures(file)]


def prefill(opened: mutagen.FileType, file: BinaryIO, place: Place) -> None:
    """Add the frames that a new tag repeats to an opened file without frames."""
    if not opened.tags:
        tag, _ = _prefilled(file, place)
        opened.tags = _as_mutagen(join_tag(tag, 0)) if has_frames(tag) else None


def edit(file: BinaryIO, should_remove: PictureFilter, new: Picture | None, place: Place) -> str:
    """Remove pictures and add `new` as the first one. Returns a note, or "".

    A tag that is left without frames is removed. Raises TooLargeError.
    """
    old = place.read(file)
    tag, note = _prefilled(file, place) if new else (_load(old), "")
    tag = _without(tag, should_remove)
    if new:
        tag = _with_front_cover(tag, new)
    place.store(file, padded_tag(tag, available=len(old)) if has_frames(tag) else b"")
    return note


def check(file: BinaryIO, place: Place) -> None:
    """Raise ValueError or struct.error if `edit` would fail on a damaged structure."""
    data = place.read(file)
    if any(data[:10]):
        check_header(data)


def rest(
    file: BinaryIO, should_remove: PictureFilter, place: Place, *, prefilled: bool = False
) -> object:
    """All raw frames except removed pictures, and the bytes around the tag.

    `prefilled`: include the frames that a new tag repeats.
    """
    tag = _prefilled(file, place)[0] if prefilled else _load(place.read(file))
    tag = _without(tag, should_remove)
    return tag if has_frames(tag) else None, place.around(file)


def _prefilled(file: BinaryIO, place: Place) -> tuple[Tag, str]:
    """Return the tag to which a cover is added, and a note about it.

    Players that find an ID3v2 tag ignore all others. So a new one repeats what they read before:
    the frames of an ID3v2 tag elsewhere in the file, or the texts of other kinds of tags.
    """
    tag = _load(place.read(file))
    if has_frames(tag):
        return tag, ""
    for data in place.others(file):
        with suppress(ValueError):  # damaged: players ignore it too
            tag = _load(data)
            if has_frames(tag):
                return tag, "copied an ID3v2 tag from elsewhere in the file into a new one"
    found = place.texts(file)
    texts = texts_to_repeat(found)
    if not texts:
        unsure = next((each.source for each in found if not each.certain), "")
        note = f"did not copy the {unsure} texts, whose encoding is unknown"
        return Tag(version=_NEW_VERSION), note if unsure else ""
    stream = io.BytesIO()
    as_id3(texts).save(stream, v1=0, v2_version=_NEW_VERSION, v23_sep=None)
    sources = " and ".join(each.source for each in texts)
    return parse_tag(stream.getvalue()), f"copied the {sources} texts into a new ID3v2.3 tag"


def _as_mutagen(data: bytes) -> ID3:
    return ID3(io.BytesIO(data), translate=False, load_v1=False)


def _load(data: bytes) -> Tag:
    """Parse a tag; one without frames becomes a new one."""
    tag = parse_tag(data) if data.strip(b"\0") else None
    return tag if tag and has_frames(tag) else Tag(version=_NEW_VERSION)


def _with_front_cover(tag: Tag, picture: Picture) -> Tag:
    frames = tag.frames
    at = next((i for i, frame in enumerate(frames) if _is_picture(frame)), len(frames))
    return replace(tag, frames=(*frames[:at], _front_cover(tag, picture), *frames[at:]))


def _without(tag: Tag, should_remove: PictureFilter) -> Tag:
    kept = tuple(
        f for f in tag.frames if not (_is_picture(f) and _is_removed(tag, f, should_remove))
    )
    return replace(tag, frames=kept)


def _is_picture(frame: Frame) -> bool:
    return frame.name in (b"PIC", b"PIC\0", b"APIC")


def _is_removed(tag: Tag, frame: Frame, should_remove: PictureFilter) -> bool:
    # mutagen decodes the body according to the frame's flags.
    alone = _as_mutagen(join_tag(replace(tag, frames=(frame,), tail=b""), 0))
    return any(map(should_remove, _pictures_of(alone)))


def _front_cover(tag: Tag, picture: Picture) -> Frame:
    # The empty description is Latin-1: iTunes and Finder ignore pictures with one in UTF-16.
    kind_and_text = bytes([FRONT_COVER]) + b"\0"
    if tag.version == 2:
        name = {"image/png": b"PNG", "image/jpeg": b"JPG"}.get(picture.mime)
        format_2_2 = name or picture.extension[1:4].upper().encode().ljust(3)
        return Frame(name=b"PIC", body=b"\0" + format_2_2 + kind_and_text + picture.data)
    body = b"\0" + picture.mime.encode() + b"\0" + kind_and_text + picture.data
    if not tag.flags & UNSYNCHRONISED:
        return Frame(name=b"APIC", body=body)
    size = to_synchsafe(len(body))
    return Frame(name=b"APIC", flags=b"\0\x03", body=size + unsynchronised(body))
