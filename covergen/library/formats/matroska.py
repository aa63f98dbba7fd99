"""Pictures in Matroska and WebM files. The front cover is an attachment named "cover".

Clusters are never rewritten. If they move, the positions in the indexes are updated. An index that
outgrows its place is moved next to the attachments, before the clusters.

Sources: RFC 9559 (Matroska); matroska.org, Attachments (names of covers) and Tagging.
"""

import os
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePath
from typing import BinaryIO

import mutagen

from covergen.core.picture import Picture
from covergen.library.formats import keys
from covergen.library.formats.ebml import (
    CRC,
    VOID,
    Element,
    children,
    element,
    elements_in,
    head_at,
    master,
    number,
    number_bytes,
    size_bytes,
    void,
    void_head,
)
from covergen.library.formats.embedded_picture import (
    FRONT_COVER,
    EmbeddedPicture,
    PictureFilter,
    TooLargeError,
)
from covergen.library.formats.splice import padding, splice
from covergen.library.formats.tag_format import TagFormat

__all__ = ["MAGIC", "TAGS", "MatroskaFile", "begins"]

MAGIC = _EBML = bytes.fromhex("1a45dfa3")
"""The first bytes of a file."""

_HEADER_BYTES = 80
_DOC_TYPES = (b"matroska", b"webm")
_DOC_TYPE = bytes.fromhex("4282")
_SEGMENT = bytes.fromhex("18538067")
_SEEK_HEAD, _SEEK = bytes.fromhex("114d9b74"), bytes.fromhex("4dbb")
_SEEK_ID, _SEEK_POSITION = bytes.fromhex("53ab"), bytes.fromhex("53ac")
_INFO, _TICK = bytes.fromhex("1549a966"), bytes.fromhex("2ad7b1")
_DURATION, _TITLE = bytes.fromhex("4489"), bytes.fromhex("7ba9")
_TRACKS, _TRACK = bytes.fromhex("1654ae6b"), b"\xae"
_TRACK_TYPE, _CODEC = b"\x83", b"\x86"
_CHAPTERS = bytes.fromhex("1043a770")
_TAGS, _TAG = bytes.fromhex("1254c367"), bytes.fromhex("7373")
_TARGETS, _LEVEL, _TRACK_UID = (bytes.fromhex(name) for name in ("63c0", "68ca", "63c5"))
_OTHER_TARGETS = tuple(bytes.fromhex(name) for name in ("63c9", "63c4", "63c6"))
_SIMPLE, _NAME, _STRING = (bytes.fromhex(name) for name in ("67c8", "45a3", "4487"))
_ATTACHMENTS, _ATTACHED = bytes.fromhex("1941a469"), bytes.fromhex("61a7")
_FILE_NAME, _MIME = bytes.fromhex("466e"), bytes.fromhex("4660")
_DATA, _UID = bytes.fromhex("465c"), bytes.fromhex("46ae")
_CLUSTER, _POSITION, _BLOCKS = bytes.fromhex("1f43b675"), b"\xa7", (b"\xa3", b"\xa0")
_CUES = bytes.fromhex("1c53bb6b")
_CUE_MASTERS = (b"\xbb", b"\xb7", b"\xdb")
_CUE_POSITIONS = (b"\xf1", b"\xea", b"\x97", b"\xeb")

# These end a cluster of unknown size.
_TOP_LEVEL = (
    _EBML, _SEGMENT, _SEEK_HEAD, _INFO, _TRACKS, _CHAPTERS, _TAGS, _ATTACHMENTS, _CLUSTER, _CUES,
)  # fmt: skip
_VIDEO, _AUDIO = 1, 2
_STILLS = "V_MJPEG"

_KINDS = {
    **dict.fromkeys(("cover", "small_cover", "cover_land", "small_cover_land"), FRONT_COVER),
    "back": 4,
}
_MAX_TEXT_BYTES = 64 << 10
_USUAL_TICK_NS = 1_000_000
_WIDE = 8  # bytes reserved for a position that is not known yet


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    """The offsets of the segment's size field, its body and its end, and its top-level elements.

    Positions are relative to `body`. `size` is None if it is unknown, as in a live stream.
    """

    size_at: int
    body: int
    end: int
    size: int | None
    elements: tuple[Element, ...]

    def all(self, name: bytes) -> list[Element]:
        return [item for item in self.elements if item.id == name]


@dataclass(frozen=True, slots=True)
class _Info:
    length: float


class MatroskaFile:
    """A Matroska file with the interface of mutagen's file types.

    `tags` are texts by target level and name, such as "50:TITLE". The level is "" if unspecified,
    and "info" for the segment's title. Raises ValueError if the file is damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        segment = _segment(file)
        info = _bodies(file, segment, _INFO)
        tracks = _bodies(file, segment, _TRACKS)
        self.tags = _texts(info, _bodies(file, segment, _TAGS))
        self.pictures = [picture for _, picture in _attachments(file, segment) if picture]
        self.info = _Info(_seconds(info))
        kinds = [_track_kind(track) for body in tracks for track in _parts(body, _TRACK)]
        self.is_video = _VIDEO in kinds
        if not (self.is_video or _AUDIO in kinds):
            raise ValueError("it contains no audio track")


def pictures(file: mutagen.FileType) -> list[EmbeddedPicture]:
    """The attached images, in order."""
    return list(file.pictures)


def others(file: mutagen.FileType) -> object:
    """All texts, and the duration."""
    return file.tags, file.info.length


def begins(head: bytes) -> bool:
    """Whether a file is Matroska or WebM. Source: RFC 9559, section 5.1.1."""
    # The DocType is in a header of variable order.
    header = head[:_HEADER_BYTES]
    return head.startswith(MAGIC) and any(kind in header for kind in _DOC_TYPES)


def edit(file: BinaryIO, should_remove: PictureFilter, new: Picture | None) -> str:
    """Remove pictures and add `new` as the first attachment.

    Raises TooLargeError if an index after the clusters has no room for its changes.
    """
    segment = _segment(file)
    kept = _kept_attachments(file, segment, should_remove)
    attached = [_attachment(new), *kept] if new else kept
    attachments = element(_ATTACHMENTS, b"".join(attached)) if attached else b""
    _Change(file, segment, attachments).apply()
    return ""


def rest(file: BinaryIO, should_remove: PictureFilter) -> object:
    """All other elements, the remaining attachments, and the elements that the indexes point to."""
    segment = _segment(file)
    head = _bytes(file, 0, segment.size_at), segment.size is None
    names = _names(segment)
    plain = [
        (item.id, _size_or_hash(file, item))
        for item in segment.elements
        if item.id not in (VOID, _SEEK_HEAD, _CUES, _ATTACHMENTS)
    ]
    cues = [list(_cue_targets(body, names)) for body in _bodies(file, segment, _CUES)]
    seeks = [
        (name, names.get(number(position), ""))
        for body in _bodies(file, segment, _SEEK_HEAD)
        for name, position in _seeks(body)
        if name != _ATTACHMENTS
    ]
    kept = _kept_attachments(file, segment, should_remove)
    file.seek(segment.end)
    return head, plain, cues, sorted(seeks), kept, file.read(_MAX_TEXT_BYTES)


def _size_or_hash(file: BinaryIO, item: Element) -> object:
    """The size of a cluster, whose audio is compared elsewhere; the hash of other elements."""
    size = item.end - item.start
    return size if item.id == _CLUSTER else sha256(_body(file, item)).digest()


def _names(segment: _Segment) -> dict[int, str]:
    """Return the elements by position, each as its ID and a running number."""
    counts: Counter[bytes] = Counter()
    names = {}
    for item in segment.elements:
        counts[item.id] += 1
        names[item.start - segment.body] = f"{item.id.hex()} {counts[item.id]}"
    return names


def _cue_targets(body: bytes, names: dict[int, str]) -> Iterator[tuple[bytes, object]]:
    for name, inner, _ in children(body):
        if name in _CUE_MASTERS:
            yield name, list(_cue_targets(inner, names))
        elif name in _CUE_POSITIONS:
            yield name, names.get(number(inner), "")
        elif name not in (CRC, VOID):
            yield name, inner


# Reading.


def _segment(file: BinaryIO) -> _Segment:
    """Read the structure. Raises ValueError if the file is not Matroska or is damaged."""
    end = file.seek(0, os.SEEK_END)
    name, body, size = head_at(file, 0)
    if name != _EBML or size is None or size > _MAX_TEXT_BYTES:
        raise ValueError("the EBML header is missing")
    doc_type = _parts(_bytes(file, body, body + size), _DOC_TYPE)[:1]
    if [text.rstrip(b"\0") for text in doc_type] not in [[kind] for kind in _DOC_TYPES]:
        raise ValueError("the DocType is neither matroska nor webm")
    start = body + size
    name, body, size = head_at(file, start)
    if name != _SEGMENT:
        raise ValueError("the segment is missing")
    if size is not None and body + size > end:
        raise ValueError("the end of the file is missing")
    elements, end = _top_level(file, body, end if size is None else body + size, size is None)
    return _Segment(
        size_at=start + len(_SEGMENT), body=body, end=end, size=size, elements=tuple(elements)
    )


def _top_level(file: BinaryIO, start: int, end: int, streamed: bool) -> tuple[list[Element], int]:
    """Return the top-level elements of a segment, and its end.

    A streamed segment ends with the file or before the next EBML header, possibly in mid-cluster.
    """
    elements: list[Element] = []
    while start < end:
        name, body, size = head_at(file, start)
        if name == _EBML:
            return elements, start
        if name == CRC:
            raise ValueError("a checksum over the whole segment is not supported")
        if name == _CLUSTER and size is None:
            following = _end_of_cluster(file, body, end)
        elif size is None:
            raise ValueError("an element has unknown size and is not a cluster")
        else:
            following = body + size
        if following > end:
            if name != _CLUSTER or not streamed:
                raise ValueError("an element runs past the end of the file")
            following = end
        elements.append(Element(name, start, body, following))
        start = following
    return elements, end


def _end_of_cluster(file: BinaryIO, start: int, end: int) -> int:
    while start < end:
        name, body, size = head_at(file, start)
        if name in _TOP_LEVEL:
            break
        if size is None:
            raise ValueError("an element within a cluster has unknown size")
        start = body + size
    return min(start, end)


def _bytes(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def _body(file: BinaryIO, item: Element) -> bytes:
    return _bytes(file, item.body, item.end)


def _bodies(file: BinaryIO, segment: _Segment, name: bytes) -> list[bytes]:
    return [_body(file, item) for item in segment.all(name)]


def _parts(body: bytes, name: bytes) -> list[bytes]:
    """The bodies of all child elements with this ID."""
    return [inner for found, inner, _ in children(body) if found == name]


def _seconds(infos: list[bytes]) -> float:
    info = b"".join(infos)
    ticks = [number(body) for body in _parts(info, _TICK)]
    for body in _parts(info, _DURATION):
        (duration,) = struct.unpack(">f" if len(body) == 4 else ">d", body)
        return float(duration) * (ticks[0] if ticks else _USUAL_TICK_NS) / 1e9
    return 0.0


def _track_kind(track: bytes) -> int:
    codec = b"".join(_parts(track, _CODEC)).decode("ascii", "replace")
    kinds = [number(body) for body in _parts(track, _TRACK_TYPE)]
    return kinds[0] if kinds and not codec.startswith(_STILLS) else 0


def _texts(infos: list[bytes], tags: list[bytes]) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    titles = [title for info in infos for title in _parts(info, _TITLE)]
    if titles:
        texts["info:TITLE"] = [_text(title) for title in titles]
    found = [tag for body in tags for tag in _parts(body, _TAG)]
    # Tags of a single track come after those of the whole file.
    for tag in sorted(found, key=lambda tag: bool(_targets(tag)[1])):
        level, _, elsewhere = _targets(tag)
        for simple in _parts(tag, _SIMPLE) if not elsewhere else ():
            name = "".join(map(_text, _parts(simple, _NAME)[:1])).upper()
            texts.setdefault(f"{level}:{name}", []).extend(map(_text, _parts(simple, _STRING)))
    return texts


def _targets(tag: bytes) -> tuple[str, bool, bool]:
    """Return a tag's level, whether it targets a track, and whether a chapter or attachment."""
    targets = b"".join(_parts(tag, _TARGETS))
    level = "".join(str(number(body)) for body in _parts(targets, _LEVEL)[:1])
    elsewhere = any(number(uid) for name in _OTHER_TARGETS for uid in _parts(targets, name))
    return level, any(map(number, _parts(targets, _TRACK_UID))), elsewhere


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").rstrip("\0")


def _attachments(
    file: BinaryIO, segment: _Segment
) -> Iterator[tuple[Element, EmbeddedPicture | None]]:
    """Yield each attached file, with its picture if it is one."""
    for place in segment.all(_ATTACHMENTS):
        for item in elements_in(file, place.body, place.end):
            if item.id == _ATTACHED:
                yield item, _attached_picture(file, item)


def _attached_picture(file: BinaryIO, attached: Element) -> EmbeddedPicture | None:
    """The picture in an attachment. Others may be large, so only their names are read."""
    parts = {part.id: part for part in elements_in(file, attached.body, attached.end)}
    short = {
        name: _body(file, part)
        for name, part in parts.items()
        if name != _DATA and part.end - part.body <= _MAX_TEXT_BYTES
    }
    if _DATA not in parts or (kind := _picture_kind(short)) is None:
        return None
    return EmbeddedPicture(_body(file, parts[_DATA]), kind)


def _picture_kind(attached: dict[bytes, bytes]) -> int | None:
    """The picture type of an attachment, by its name; None if it is not a picture."""
    name = PurePath(_text(attached.get(_FILE_NAME, b"")).lower())
    is_image = _text(attached.get(_MIME, b"")).lower().startswith("image/")
    named = name.suffix in (".png", ".jpg", ".jpeg") and _KINDS.get(name.stem) == FRONT_COVER
    return _KINDS.get(name.stem, 0) if is_image or named else None


# Attachments.


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
    file: BinaryIO, segment: _Segment, should_remove: PictureFilter
) -> list[bytes]:
    """The raw elements of the attachments that are kept."""
    return [
        _bytes(file, item.start, item.end)
        for item, picture in _attachments(file, segment)
        if picture is None or not should_remove(picture)
    ]


# Indexes, and the change itself.


def _seeks(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield ID and position of each entry."""
    for entry in _parts(head, _SEEK):
        parts = {name: body for name, body, _ in children(entry)}
        yield parts.get(_SEEK_ID, b""), parts.get(_SEEK_POSITION, b"")


def _seek(name: bytes, position: bytes) -> bytes:
    return element(_SEEK, element(_SEEK_ID, name) + element(_SEEK_POSITION, position))


def _moved_cues(body: bytes, moved: Callable[[int], int], width: int) -> list[bytes]:
    parts = []
    for name, inner, raw in children(body):
        if name in _CUE_MASTERS:
            parts.append(element(name, b"".join(_moved_cues(inner, moved, width))))
        elif name in _CUE_POSITIONS:
            value = number_bytes(moved(number(inner)), max(width, len(inner)))
            parts.append(element(name, value))
        elif name not in (CRC, VOID):
            parts.append(raw)
    return parts


class _Change:
    """A replacement of the attachments, with all adjustments that it requires.

    The bytes from `_start` to `_end` are replaced, and everything after them moves by `_delta`.
    Indexes are updated in place, using free space after them. An index that still does not fit is
    moved after the attachments.
    """

    def __init__(self, file: BinaryIO, segment: _Segment, attachments: bytes) -> None:
        self._file, self._segment, self._attachments = file, segment, attachments
        self._start, self._end = self._region()
        self._room = self._delta = 0
        self._outgrown: list[Element] = []
        self._places: dict[int, int] = {}  # their old and new positions

    def apply(self) -> None:
        """Write the change. Raises TooLargeError if an index after the clusters does not fit."""
        patches = self._patches()
        while patches is None:
            clusters = self._segment.all(_CLUSTER)
            if clusters and self._start > clusters[0].start:  # players would not look there
                raise TooLargeError("its index has no room for the new positions")
            patches = self._patches()
        indexes = b"".join(self._index(item, _WIDE, with_new=True) for item in self._outgrown)
        for offset, data in (*patches.items(), *self._cluster_patches()):
            self._file.seek(offset)
            self._file.write(data)
        data = self._attachments + indexes + void(self._room)
        splice(self._file, self._start, self._end, data)
        self._resize()

    def _region(self) -> tuple[int, int]:
        """Return start and end of the attachments with free space, or of the place for them."""
        items = self._segment.elements
        own = [n for n, item in enumerate(items) if item.id == _ATTACHMENTS]
        if len(own) > 1:
            raise ValueError("multiple attachment lists are not supported")
        clusters = (n for n, item in enumerate(items) if item.id == _CLUSTER)
        first = own[0] if own else next(clusters, len(items))
        after = first + len(own)
        while not own and first and items[first - 1].id == VOID:
            first -= 1
        while own and after < len(items) and items[after].id == VOID:
            after += 1
        places = [*(item.start for item in items), self._segment.end]
        return places[first], places[after]

    def _patches(self) -> dict[int, bytes] | None:
        """Return what to write at which offset; None if another index outgrows its place."""
        sizes = [len(self._index(item, _WIDE, with_new=True)) for item in self._outgrown]
        content = len(self._attachments) + sum(sizes)
        self._room = padding(self._end - self._start - content, minimum=2)
        self._delta = content + self._room - (self._end - self._start)
        place = self._start - self._segment.body + len(self._attachments)
        for item, size in zip(self._outgrown, sizes, strict=True):
            self._places[item.start - self._segment.body] = place
            place += size
        patches = {item.start: void_head(item.end - item.start) for item in self._outgrown}
        for item in (*self._segment.all(_SEEK_HEAD), *self._segment.all(_CUES)):
            if item not in self._outgrown:
                data = self._in_place(item)
                if data is None:
                    self._outgrown.append(item)
                    return None
                patches[item.start] = data
        return patches

    def _in_place(self, item: Element) -> bytes | None:
        """Return the new index and the head of the free space after it; None if it does not fit."""
        room = self._room_of(item)
        for with_new in (True, False):
            data = self._index(item, 0, with_new=with_new)
            left = room - len(data)
            if left == 1:  # too small for a Void element: use a longer size field
                _, body, _ = next(children(data))
                return element(item.id, body, total=room)
            if left >= 0:
                return data + (void_head(left) if left else b"")
        return None

    def _room_of(self, item: Element) -> int:
        end = item.end
        for following in self._segment.elements:
            is_taken = self._start <= following.start < self._end
            if following.start == end and following.id == VOID and not is_taken:
                end = following.end
        return end - item.start

    def _index(self, item: Element, width: int, *, with_new: bool) -> bytes:
        """Return an index with new positions of at least `width` bytes, and its checksum if any."""
        body = _body(self._file, item)
        if item.id == _CUES:
            parts = _moved_cues(body, self._moved, width)
        else:
            parts = self._moved_seeks(body, width, with_new=with_new)
        return master(item.id, parts, crc=bool(_parts(body, CRC)))

    def _moved(self, position: int) -> int:
        """Return the new position of the element at an old one."""
        follows = position >= self._end - self._segment.body
        return self._places.get(position, position + self._delta if follows else position)

    def _moved_seeks(self, body: bytes, width: int, *, with_new: bool) -> list[bytes]:
        """Return the updated entries. `with_new`: add one for the attachments if it is missing."""
        own = _seek(_ATTACHMENTS, number_bytes(self._start - self._segment.body, max(width, 1)))
        parts = []
        for name, position in _seeks(body):
            if name == _ATTACHMENTS:
                with_new = True
            else:
                moved = number_bytes(self._moved(number(position)), max(width, len(position)))
                parts.append(_seek(name, moved))
        return [*parts, own] if self._attachments and with_new else parts

    def _cluster_patches(self) -> Iterator[tuple[int, bytes]]:
        """Yield the new position fields of the clusters, and their checksums."""
        for cluster in self._segment.all(_CLUSTER) if self._delta else ():
            if cluster.start >= self._end:
                heads = list(self._before_blocks(cluster))
                position = next((item for item in heads if item.id == _POSITION), None)
                checksum = next((item for item in heads if item.id == CRC), None)
                if position:
                    offset, data = self._position_patch(position)
                    yield offset, data
                    if checksum:
                        yield self._checksum_patch(cluster, checksum, offset, data)

    def _before_blocks(self, cluster: Element) -> Iterator[Element]:
        at = cluster.body
        while at < cluster.end:
            name, body, size = head_at(self._file, at)
            if name in _BLOCKS or size is None:
                return
            yield Element(name, at, body, body + size)
            at = body + size

    def _position_patch(self, position: Element) -> tuple[int, bytes]:
        moved = self._moved(number(_body(self._file, position)))
        try:
            return position.body, moved.to_bytes(position.end - position.body, "big")
        except OverflowError:  # it is optional
            return position.start, VOID

    def _checksum_patch(
        self, cluster: Element, checksum: Element, offset: int, data: bytes
    ) -> tuple[int, bytes]:
        covered = bytearray(_bytes(self._file, checksum.end, cluster.end))
        covered[offset - checksum.end : offset - checksum.end + len(data)] = data
        return checksum.body, zlib.crc32(covered).to_bytes(4, "little")

    def _resize(self) -> None:
        """Update the segment's size, in a longer field if necessary, which moves no position."""
        if self._segment.size is None:
            return
        size, width = self._segment.size + self._delta, self._segment.body - self._segment.size_at
        try:
            data = size_bytes(size, width)
        except OverflowError:
            data = size_bytes(size, _WIDE)
        splice(self._file, self._segment.size_at, self._segment.body, data)


TAGS = TagFormat(
    keys=keys.MATROSKA,
    pictures=pictures,
    others=others,
    edit=edit,
    rest=rest,
    check=lambda _: None,  # opening the file already checks it
)
