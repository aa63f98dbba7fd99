"""Pictures in Matroska and WebM files. The front cover is an attachment named "cover".

Sources: RFC 9559 (Matroska); matroska.org, Attachments (names of covers) and Tagging.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePath
from typing import BinaryIO

import mutagen

from covergen.core.picture import Picture
from covergen.library.formats import keys
from covergen.library.formats.ebml import (
    VOID,
    Element,
    element,
    elements_in,
    number,
    number_bytes,
    parts_of,
    read_bytes,
)
from covergen.library.formats.embedded_picture import (
    FRONT_COVER,
    EmbeddedPicture,
    PictureFilter,
    is_kept,
)
from covergen.library.formats.matroska_change import index_entries, replace_attachments
from covergen.library.formats.matroska_segment import (
    ATTACHMENTS,
    CLUSTER,
    CUES,
    INFO,
    MAX_TEXT_BYTES,
    SEEK_HEAD,
    TAGS_LIST,
    TRACKS,
    Segment,
    read_segment,
)
from covergen.library.formats.tag_format import TagFormat

_TICK, _DURATION, _TITLE = (bytes.fromhex(name) for name in ("2ad7b1", "4489", "7ba9"))
_TRACK, _TRACK_TYPE, _CODEC = b"\xae", b"\x83", b"\x86"
_TAG = bytes.fromhex("7373")
_TARGETS, _LEVEL, _TRACK_UID = (bytes.fromhex(name) for name in ("63c0", "68ca", "63c5"))
_OTHER_TARGETS = tuple(bytes.fromhex(name) for name in ("63c9", "63c4", "63c6"))
_SIMPLE, _NAME, _STRING = (bytes.fromhex(name) for name in ("67c8", "45a3", "4487"))
_ATTACHED, _FILE_NAME, _MIME = (bytes.fromhex(name) for name in ("61a7", "466e", "4660"))
_DATA, _UID = bytes.fromhex("465c"), bytes.fromhex("46ae")

_VIDEO, _AUDIO = 1, 2
_STILLS = "V_MJPEG"
_USUAL_TICK_NS = 1_000_000

_KINDS = {
    **dict.fromkeys(("cover", "small_cover", "cover_land", "small_cover_land"), FRONT_COVER),
    "back": 4,
}


@dataclass(frozen=True, slots=True)
class _Info:
    length: float


class MatroskaFile:
    """A Matroska file with the interface of mutagen's file types.

    `tags` are texts by target level and name, such as "50:TITLE". The level is "" if unspecified,
    and "info" for the segment's title. Raises ValueError if the file is damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        segment = read_segment(file)
        info = segment.bodies(file, INFO)
        tracks = segment.bodies(file, TRACKS)
        self.tags = _texts(info, segment.bodies(file, TAGS_LIST))
        self.pictures = [picture for _, picture in _attachments(file, segment) if picture]
        self.info = _Info(_seconds(info))
        kinds = [_track_kind(track) for body in tracks for track in parts_of(body, _TRACK)]
        self.is_video = _VIDEO in kinds
        if not (self.is_video or _AUDIO in kinds):
            raise ValueError("it contains no audio track")


def pictures(file: mutagen.FileType) -> list[EmbeddedPicture]:
    """The attached images, in order."""
    return list(file.pictures)


def others(file: mutagen.FileType) -> object:
    """All texts, and the duration."""
    return file.tags, file.info.length


def edit(file: BinaryIO, should_remove: PictureFilter, new: Picture | None) -> str:
    """Remove pictures and add `new` as the first attachment.

    Raises TooLargeError if no index of the file can refer to attachments.
    """
    segment = read_segment(file)
    kept = _kept_attachments(file, segment, should_remove)
    attached = [_attachment(new), *kept] if new else kept
    attachments = element(ATTACHMENTS, b"".join(attached)) if attached else b""
    replace_attachments(file, segment, attachments)
    return ""


def rest(file: BinaryIO, should_remove: PictureFilter) -> object:
    """All other elements, with the positions of those that may not move, and the index entries."""
    segment = read_segment(file)
    head = read_bytes(file, 0, segment.size_at), segment.size is None
    clusters = segment.all(CLUSTER)
    moving = clusters[0].start if clusters and not segment.all(CUES) else segment.end
    plain = [
        (item.id, item.start < moving and item.start - segment.body, _size_or_hash(file, item))
        for item in segment.elements
        if item.id not in (VOID, SEEK_HEAD, ATTACHMENTS)
    ]
    kept = _kept_attachments(file, segment, should_remove)
    trailing = read_bytes(file, segment.end, segment.end + MAX_TEXT_BYTES)
    return head, plain, index_entries(file, segment), kept, trailing


def _size_or_hash(file: BinaryIO, item: Element) -> object:
    """The size of a cluster, whose audio is compared elsewhere; the hash of other elements."""
    size = item.end - item.start
    return size if item.id == CLUSTER else sha256(item.read(file)).digest()


def _seconds(infos: list[bytes]) -> float:
    info = b"".join(infos)
    ticks = [number(body) for body in parts_of(info, _TICK)]
    for body in parts_of(info, _DURATION):
        (duration,) = struct.unpack(">f" if len(body) == 4 else ">d", body)
        return float(duration) * (ticks[0] if ticks else _USUAL_TICK_NS) / 1e9
    return 0.0


def _track_kind(track: bytes) -> int:
    codec = b"".join(parts_of(track, _CODEC)).decode("ascii", "replace")
    kinds = [number(body) for body in parts_of(track, _TRACK_TYPE)]
    return kinds[0] if kinds and not codec.startswith(_STILLS) else 0


def _texts(infos: list[bytes], tags: list[bytes]) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    titles = [title for info in infos for title in parts_of(info, _TITLE)]
    if titles:
        texts["info:TITLE"] = [_text(title) for title in titles]
    found = [tag for body in tags for tag in parts_of(body, _TAG)]
    # Tags of a single track come after those of the whole file.
    for tag in sorted(found, key=lambda tag: bool(_targets(tag)[1])):
        level, _, elsewhere = _targets(tag)
        for simple in parts_of(tag, _SIMPLE) if not elsewhere else ():
            name = "".join(map(_text, parts_of(simple, _NAME)[:1])).upper()
            texts.setdefault(f"{level}:{name}", []).extend(map(_text, parts_of(simple, _STRING)))
    return texts


def _targets(tag: bytes) -> tuple[str, bool, bool]:
    """Return a tag's level, whether it targets a track, and whether a chapter or attachment."""
    targets = b"".join(parts_of(tag, _TARGETS))
    level = "".join(str(number(body)) for body in parts_of(targets, _LEVEL)[:1])
    elsewhere = any(number(uid) for name in _OTHER_TARGETS for uid in parts_of(targets, name))
    return level, any(map(number, parts_of(targets, _TRACK_UID))), elsewhere


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").rstrip("\0")


def _attachments(
    file: BinaryIO, segment: Segment
) -> Iterator[tuple[Element, EmbeddedPicture | None]]:
    """Yield each attached file, with its picture if it is one."""
    for place in segment.all(ATTACHMENTS):
        for item in elements_in(file, place.body, place.end):
            if item.id == _ATTACHED:
                yield item, _attached_picture(file, item)


def _attached_picture(file: BinaryIO, attached: Element) -> EmbeddedPicture | None:
    """The picture in an attachment. Others may be large, so only their names are read."""
    parts = {part.id: part for part in elements_in(file, attached.body, attached.end)}
    short = {
        name: part.read(file)
        for name, part in parts.items()
        if name != _DATA and part.end - part.body <= MAX_TEXT_BYTES
    }
    if _DATA not in parts or (kind := _picture_kind(short)) is None:
        return None
    return EmbeddedPicture(parts[_DATA].read(file), kind)


def _picture_kind(attached: dict[bytes, bytes]) -> int | None:
    """The picture type of an attachment, by its name; None if it is not a picture."""
    name = PurePath(_text(attached.get(_FILE_NAME, b"")).lower())
    is_image = _text(attached.get(_MIME, b"")).lower().startswith("image/")
    named = name.suffix in (".png", ".jpg", ".jpeg") and _KINDS.get(name.stem) == FRONT_COVER
    return _KINDS.get(name.stem, 0) if is_image or named else None


def _attachment(picture: Picture) -> bytes:
    uid = number(sha256(picture.data).digest()[:8]) | 1  # not 0
    parts = (
        element(_FILE_NAME, f"cover{picture.extension}".encode()),
        element(_MIME, picture.mime.encode()),
        element(_UID, number_bytes(uid)),
        element(_DATA, picture.data),
    )
    return element(_ATTACHED, b"".join(parts))


def _kept_attachments(
    file: BinaryIO, segment: Segment, should_remove: PictureFilter
) -> list[bytes]:
    """The raw elements of the attachments that are kept."""
    return [
        read_bytes(file, item.start, item.end)
        for item, picture in _attachments(file, segment)
        if is_kept(picture, should_remove)
    ]


TAGS = TagFormat(
    keys=keys.MATROSKA,
    pictures=pictures,
    others=others,
    edit=edit,
    rest=rest,
    check=lambda _: None,  # opening the file already checks it
)
