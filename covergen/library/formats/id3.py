"""Pictures in ID3v2 tags. Frames are edited as raw bytes.

Other frames are never decoded and encoded again, so that they are preserved byte for byte: unknown
frames, flags, odd encodings, and multiple values.

Source: ID3v2.2.0, ID3v2.3.0, ID3v2.4.0 (id3.org).
"""

import io
import re
import struct
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
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
    TooLargeError,
)
from covergen.library.formats.id3_places import from_synchsafe, id3_size, to_synchsafe
from covergen.library.formats.splice import padding
from covergen.library.formats.tag_format import Place, TagFormat
from covergen.library.formats.texts_for_id3 import as_id3, texts_to_repeat
from covergen.library.mutagen_errors import DAMAGE

_NEW_VERSION = 3  # Windows Explorer and many car stereos cannot read 2.4

_MAX_BYTES = 1 << 28
_TOO_LARGE = "the cover does not fit into an ID3v2 tag"
_UNSYNCHRONISED, _EXTENDED, _EXPERIMENTAL = 0x80, 0x40, 0x20

_COMPRESSED = {3: 0x80, 4: 0x08}  # in the second byte of a frame's flags
_MAX_DECOMPRESSED = 32 << 20
_MAX_FRAMES = 10_000
_MAX_COPIED = 1 << 34  # mutagen copies the rest of the tag for each frame

_NAME = re.compile(rb"[A-Z][A-Z0-9]{2}[A-Z0-9 \0]?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """A raw frame: a name of 3 bytes (2.2) or 4, 2 bytes of flags, and the body."""

    name: bytes
    flags: bytes = b"\0\0"
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tag:
    """A tag as raw frames. `tail` is damaged data at the end, which is kept as it is."""

    version: int
    flags: int = 0
    frames: tuple[_Frame, ...] = ()
    tail: bytes = b""


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
        _check_cost(place.read(file))


def _check_cost(data: bytes) -> None:
    tag = _parse(data)
    if len(tag.frames) * len(data) > _MAX_COPIED:
        raise _too_many_frames()
    packed = (f.body for f in tag.frames if f.flags[1] & _COMPRESSED.get(tag.version, 0))
    room = _MAX_DECOMPRESSED
    for body in packed:
        room -= max(_decompressed_size(data, room) for data in _compressed_candidates(body))
        if room <= 0:
            raise OverflowError("the ID3 tag decompresses to too much data")


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
            _check_cost(data)
            found += [_as_mutagen(data)]
    return found


def further_pictures(file: BinaryIO, place: Place, tags: Iterable[ID3]) -> list[EmbeddedPicture]:
    """Return the pictures in a file's further ID3v2 `tags` and in its tags of other kinds."""
    return [*(picture for tag in tags for picture in _pictures_of(tag)), *place.pictures(file)]


def prefill(opened: mutagen.FileType, file: BinaryIO, place: Place) -> None:
    """Add the frames that a new tag repeats to an opened file without frames."""
    if not opened.tags:
        tag, _ = _prefilled(file, place)
        opened.tags = _as_mutagen(_join(tag, 0)) if _has_frames(tag) else None


def edit(file: BinaryIO, should_remove: PictureFilter, new: Picture | None, place: Place) -> str:
    """Remove pictures and add `new` as the first one. Returns a note, or "".

    A tag that is left without frames is removed. Raises TooLargeError.
    """
    old = place.read(file)
    tag, note = _prefilled(file, place) if new else (_load(old), "")
    tag = _without(tag, should_remove)
    if new:
        tag = _with_front_cover(tag, new)
    place.store(file, _tag_bytes(tag, available=len(old)) if _has_frames(tag) else b"")
    return note


def check(file: BinaryIO, place: Place) -> None:
    """Raise ValueError or struct.error if `edit` would fail on a damaged structure."""
    data = place.read(file)
    if any(data[:10]):
        _check_header(data)


def rest(
    file: BinaryIO, should_remove: PictureFilter, place: Place, *, prefilled: bool = False
) -> object:
    """All raw frames except removed pictures, and the bytes around the tag.

    `prefilled`: include the frames that a new tag repeats.
    """
    tag = _prefilled(file, place)[0] if prefilled else _load(place.read(file))
    tag = _without(tag, should_remove)
    return tag if _has_frames(tag) else None, place.around(file)


def _prefilled(file: BinaryIO, place: Place) -> tuple[_Tag, str]:
    """Return the tag to which a cover is added, and a note about it.

    Players that find an ID3v2 tag ignore all others. So a new one repeats what they read before:
    the frames of an ID3v2 tag elsewhere in the file, or the texts of other kinds of tags.
    """
    tag = _load(place.read(file))
    if _has_frames(tag):
        return tag, ""
    for data in place.others(file):
        with suppress(ValueError):  # damaged: players ignore it too
            tag = _load(data)
            if _has_frames(tag):
                return tag, "copied an ID3v2 tag from elsewhere in the file into a new one"
    found = place.texts(file)
    texts = texts_to_repeat(found)
    if not texts:
        unsure = next((each.source for each in found if not each.certain), "")
        note = f"did not copy the {unsure} texts, whose encoding is unknown"
        return _Tag(version=_NEW_VERSION), note if unsure else ""
    stream = io.BytesIO()
    as_id3(texts).save(stream, v1=0, v2_version=_NEW_VERSION, v23_sep=None)
    sources = " and ".join(each.source for each in texts)
    return _parse(stream.getvalue()), f"copied the {sources} texts into a new ID3v2.3 tag"


def _as_mutagen(data: bytes) -> ID3:
    return ID3(io.BytesIO(data), translate=False, load_v1=False)


def _load(data: bytes) -> _Tag:
    """Parse a tag; one without frames becomes a new one."""
    tag = _parse(data) if data.strip(b"\0") else None
    return tag if tag and _has_frames(tag) else _Tag(version=_NEW_VERSION)


def _check_header(data: bytes) -> None:
    if not 10 <= id3_size(data[:10]) <= len(data):
        raise ValueError("the ID3 tag is damaged")
    version, flags = data[3], data[5]
    if version not in (2, 3, 4) or (version == 2 and flags & 0x40):
        raise ValueError(f"ID3v2.{version} with flags {flags:#04x} is not supported")


def _parse(data: bytes) -> _Tag:
    _check_header(data)
    version, flags = data[3], data[5]
    body = data[10 : 10 + from_synchsafe(data[6:10])]
    if version < 4 and flags & _UNSYNCHRONISED:
        body = _resynchronised(body)
    if version > 2 and flags & _EXTENDED:
        body = body[_extended_header_size(version, body) :]
    kept = {2: 0, 3: _EXPERIMENTAL, 4: _EXPERIMENTAL | _UNSYNCHRONISED}[version]
    frames, tail = _split_frames(version, body)
    return _Tag(version=version, flags=flags & kept, frames=frames, tail=tail)


def _split_frames(version: int, body: bytes) -> tuple[tuple[_Frame, ...], bytes]:
    if version == 2:
        return _split(body, 3, lambda size: int.from_bytes(size, "big"))
    plain = _split(body, 4, lambda size: int.from_bytes(size, "big"))
    if version == 3:
        return plain
    # iTunes used to write plain sizes instead of synchsafe ones into 2.4 tags.
    synchsafe = _split(body, 4, from_synchsafe)
    return plain if _is_sound(*plain) and not _is_sound(*synchsafe) else synchsafe


def _is_sound(frames: Iterable[_Frame], tail: bytes) -> bool:
    return not tail and all(_NAME.fullmatch(frame.name) for frame in frames)


def _split(
    body: bytes, name_size: int, size_of: Callable[[bytes], int]
) -> tuple[tuple[_Frame, ...], bytes]:
    """Split into complete frames and the remaining bytes, without trailing zeros."""
    frames: list[_Frame] = []
    at = 0
    head = 6 if name_size == 3 else 10
    while body[at : at + name_size].strip(b"\0"):
        name, size = body[at : at + name_size], size_of(body[at + name_size : at + 2 * name_size])
        end = at + head + size
        if size < 0 or end > len(body):
            break
        flags = body[at + 8 : at + 10] if head == 10 else b"\0\0"
        if len(frames) == _MAX_FRAMES:
            raise _too_many_frames()
        frames.append(_Frame(name=name, flags=flags, body=body[at + head : end]))
        at = end
    return tuple(frames), body[at:].rstrip(b"\0")


def _too_many_frames() -> OverflowError:
    return OverflowError("the ID3 tag has too many frames")


def _resynchronised(data: bytes) -> bytes:
    # Some taggers set the flag without unsynchronising the data.
    if re.search(rb"\xff(?:[\xe0-\xff]|\Z)", data):
        return data
    return data.replace(b"\xff\0", b"\xff")


def _unsynchronised(data: bytes) -> bytes:
    return re.sub(rb"\xff(?=[\xe0-\xff\0]|\Z)", b"\xff\0", data)


def _extended_header_size(version: int, body: bytes) -> int:
    # Some taggers set the flag without writing the header.
    if re.match(rb"[A-Z][A-Z0-9]{3}", body):
        return 0
    return from_synchsafe(body[:4]) if version == 4 else 4 + int.from_bytes(body[:4], "big")


def _compressed_candidates(body: bytes) -> Iterable[bytes]:
    """Yield where compressed data may begin: after its size, or immediately in some files."""
    for data in (body, body.replace(b"\xff\0", b"\xff")):
        yield from (data, data[4:])


def _decompressed_size(data: bytes, limit: int) -> int:
    """Return the decompressed size, at most `limit`; 0 if the data is not compressed."""
    with suppress(zlib.error):
        return len(zlib.decompressobj().decompress(data, limit))
    return 0


def _with_front_cover(tag: _Tag, picture: Picture) -> _Tag:
    frames = tag.frames
    at = next((i for i, frame in enumerate(frames) if _is_picture(frame)), len(frames))
    return replace(tag, frames=(*frames[:at], _front_cover(tag, picture), *frames[at:]))


def _without(tag: _Tag, should_remove: PictureFilter) -> _Tag:
    kept = tuple(
        f for f in tag.frames if not (_is_picture(f) and _is_removed(tag, f, should_remove))
    )
    return replace(tag, frames=kept)


def _has_frames(tag: _Tag) -> bool:
    return bool(tag.frames or tag.tail)


def _is_picture(frame: _Frame) -> bool:
    return frame.name in (b"PIC", b"PIC\0", b"APIC")


def _is_removed(tag: _Tag, frame: _Frame, should_remove: PictureFilter) -> bool:
    # mutagen decodes the body according to the frame's flags.
    alone = _as_mutagen(_join(replace(tag, frames=(frame,), tail=b""), 0))
    return any(map(should_remove, _pictures_of(alone)))


def _front_cover(tag: _Tag, picture: Picture) -> _Frame:
    # The empty description is Latin-1: iTunes and Finder ignore pictures with one in UTF-16.
    kind_and_text = bytes([FRONT_COVER]) + b"\0"
    if tag.version == 2:
        name = {"image/png": b"PNG", "image/jpeg": b"JPG"}.get(picture.mime)
        format_2_2 = name or picture.extension[1:4].upper().encode().ljust(3)
        return _Frame(name=b"PIC", body=b"\0" + format_2_2 + kind_and_text + picture.data)
    body = b"\0" + picture.mime.encode() + b"\0" + kind_and_text + picture.data
    if not tag.flags & _UNSYNCHRONISED:
        return _Frame(name=b"APIC", body=body)
    size = to_synchsafe(len(body))
    return _Frame(name=b"APIC", flags=b"\0\x03", body=size + _unsynchronised(body))


def _tag_bytes(tag: _Tag, *, available: int) -> bytes:
    try:
        # Padding would become part of a truncated frame.
        room = 0 if tag.tail else padding(available - len(_join(tag, 0)))
        data = _join(tag, room)
    except OverflowError as error:
        raise TooLargeError(_TOO_LARGE) from error
    if len(data) > _MAX_BYTES:
        raise TooLargeError(_TOO_LARGE)
    return data


def _join(tag: _Tag, room: int) -> bytes:
    body = b"".join(_frame_bytes(tag.version, tag.frames)) + tag.tail + bytes(room)
    return b"ID3" + bytes([tag.version, 0, tag.flags]) + to_synchsafe(len(body)) + body


def _frame_bytes(version: int, frames: Iterable[_Frame]) -> Iterable[bytes]:
    for frame in frames:
        size = len(frame.body)
        if version == 2:
            yield frame.name + size.to_bytes(3, "big") + frame.body
        else:
            packed = to_synchsafe(size) if version == 4 else size.to_bytes(4, "big")
            yield frame.name + packed + frame.flags + frame.body
