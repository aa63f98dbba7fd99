"""Replace the attachments of a Matroska file, and update what depends on their size.

Clusters are never rewritten. If they move, the positions in the indexes are updated. An index that
outgrows its place is moved next to the attachments, before the clusters.

Source: RFC 9559.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO

from covergen.library.formats.ebml import (
    CRC,
    VOID,
    Element,
    children,
    element,
    head_at,
    master,
    number,
    number_bytes,
    parts_of,
    read_bytes,
    size_bytes,
    void,
    void_head,
)
from covergen.library.formats.embedded_picture import TooLargeError
from covergen.library.formats.matroska_segment import (
    ATTACHMENTS,
    CLUSTER,
    CUES,
    SEEK_HEAD,
    Segment,
)
from covergen.library.formats.splice import padding, splice

__all__ = ["Change", "index_targets"]

_SEEK, _SEEK_ID, _SEEK_POSITION = (bytes.fromhex(name) for name in ("4dbb", "53ab", "53ac"))
_CUE_MASTERS = (b"\xbb", b"\xb7", b"\xdb")
_CUE_POSITIONS = (b"\xf1", b"\xea", b"\x97", b"\xeb")
_POSITION, _BLOCKS = b"\xa7", (b"\xa3", b"\xa0")
_WIDE = 8  # bytes reserved for a position that is not known yet


def index_targets(file: BinaryIO, segment: Segment) -> object:
    """Return the elements that the indexes point to, for comparison; without attachments."""
    names = _names(segment)
    cues = [list(_cue_targets(body, names)) for body in segment.bodies(file, CUES)]
    seeks = [
        (name, names.get(number(position), ""))
        for body in segment.bodies(file, SEEK_HEAD)
        for name, position in _seeks(body)
        if name != ATTACHMENTS
    ]
    return cues, sorted(seeks)


def _names(segment: Segment) -> dict[int, str]:
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


def _seeks(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield ID and position of each entry."""
    for entry in parts_of(head, _SEEK):
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


class Change:
    """A replacement of the attachments, with all adjustments that it requires.

    The bytes from `_start` to `_end` are replaced, and everything after them moves by `_delta`.
    Indexes are updated in place, using free space after them. An index that still does not fit is
    moved after the attachments.
    """

    def __init__(self, file: BinaryIO, segment: Segment, attachments: bytes) -> None:
        self._file, self._segment, self._attachments = file, segment, attachments
        self._start, self._end = self._region()
        self._room = self._delta = 0
        self._outgrown: list[Element] = []
        self._places: dict[int, int] = {}  # their old and new positions

    def apply(self) -> None:
        """Write the change. Raises TooLargeError if an index after the clusters does not fit."""
        patches = self._patches()
        while patches is None:
            clusters = self._segment.all(CLUSTER)
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
        own = [n for n, item in enumerate(items) if item.id == ATTACHMENTS]
        if len(own) > 1:
            raise ValueError("multiple attachment lists are not supported")
        clusters = (n for n, item in enumerate(items) if item.id == CLUSTER)
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
        for item in (*self._segment.all(SEEK_HEAD), *self._segment.all(CUES)):
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
        body = item.read(self._file)
        if item.id == CUES:
            parts = _moved_cues(body, self._moved, width)
        else:
            parts = self._moved_seeks(body, width, with_new=with_new)
        return master(item.id, parts, crc=bool(parts_of(body, CRC)))

    def _moved(self, position: int) -> int:
        """Return the new position of the element at an old one."""
        follows = position >= self._end - self._segment.body
        return self._places.get(position, position + self._delta if follows else position)

    def _moved_seeks(self, body: bytes, width: int, *, with_new: bool) -> list[bytes]:
        """Return the updated entries. `with_new`: add one for the attachments if it is missing."""
        own = _seek(ATTACHMENTS, number_bytes(self._start - self._segment.body, max(width, 1)))
        parts = []
        for name, position in _seeks(body):
            if name == ATTACHMENTS:
                with_new = True
            else:
                moved = number_bytes(self._moved(number(position)), max(width, len(position)))
                parts.append(_seek(name, moved))
        return [*parts, own] if self._attachments and with_new else parts

    def _cluster_patches(self) -> Iterator[tuple[int, bytes]]:
        """Yield the new position fields of the clusters, and their checksums."""
        for cluster in self._segment.all(CLUSTER) if self._delta else ():
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
        moved = self._moved(number(position.read(self._file)))
        try:
            return position.body, moved.to_bytes(position.end - position.body, "big")
        except OverflowError:  # it is optional
            return position.start, VOID

    def _checksum_patch(
        self, cluster: Element, checksum: Element, offset: int, data: bytes
    ) -> tuple[int, bytes]:
        covered = bytearray(read_bytes(self._file, checksum.end, cluster.end))
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
