"""A minimal reader and writer of Matroska, from RFC 8794 and 9559, as a test oracle."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

__all__ = [
    "ATTACHMENTS",
    "CLUSTER",
    "CUES",
    "SEEK_HEAD",
    "VOID",
    "Item",
    "attachments",
    "checked",
    "element",
    "laid_out",
    "parse",
    "segment_of",
]

EBML, SEGMENT, SEEK_HEAD = 0x1A45DFA3, 0x18538067, 0x114D9B74
CLUSTER, CUES, ATTACHMENTS, TAGS = 0x1F43B675, 0x1C53BB6B, 0x1941A469, 0x1254C367
VOID, CRC, POSITION = 0xEC, 0xBF, 0xA7
MASTERS = (SEGMENT, SEEK_HEAD, 0x4DBB, CUES, 0xBB, 0xB7, ATTACHMENTS, 0x61A7, TAGS)
TOP = (SEEK_HEAD, 0x1549A966, 0x1654AE6B, TAGS, ATTACHMENTS, CLUSTER, CUES)
UNKNOWN = -1


class Item(NamedTuple):
    id: int
    start: int
    body: int
    end: int
    size: int


def _number(data: bytes, at: int, *, marked: bool) -> tuple[int, int]:
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + length])
    if marked:
        return value, at + length
    value &= (1 << 7 * length) - 1
    return UNKNOWN if value == (1 << 7 * length) - 1 else value, at + length


def parse(data: bytes, at: int, end: int) -> list[Item]:
    """The elements that fill a range."""
    items = []
    while at < end:
        name, after = _number(data, at, marked=True)
        size, body = _number(data, after, marked=False)
        stop = body + size
        if size == UNKNOWN:
            stop = end
            if name == CLUSTER:  # ended by another top-level element
                stop = body
                while stop < end and _number(data, stop, marked=True)[0] not in TOP:
                    inner, start = _number(data, _number(data, stop, marked=True)[1], marked=False)
                    stop = start + inner
        assert stop <= end, f"{name:x} at {at} runs past its end"
        items.append(Item(name, at, body, stop, size))
        at = stop
    assert at == end
    return items


def segment_of(data: bytes) -> Item:
    header, segment = parse(data, 0, len(data))
    assert (header.id, segment.id) == (EBML, SEGMENT)
    return segment


def _within(data: bytes, item: Item, *path: int) -> list[int]:
    """The numbers at a path within an element."""
    if not path:
        return [int.from_bytes(data[item.body : item.end])]
    inner = [i for i in parse(data, item.body, item.end) if i.id == path[0]]
    return [number for i in inner for number in _within(data, i, *path[1:])]


def checked(data: bytes) -> list[Item]:
    """The segment's elements, after checking all checksums and positions."""
    segment = segment_of(data)
    items = parse(data, segment.body, segment.end)
    places = {item.start - segment.body: item for item in items}
    for item in items:
        if item.id == VOID:
            continue
        first, *_ = parse(data, item.body, item.end) or [item]
        if first.id == CRC:
            checksum = int.from_bytes(data[first.body : first.end], "little")
            assert checksum == zlib.crc32(data[first.end : item.end]), f"checksum of {item.id:x}"
        if item.id == SEEK_HEAD:
            names, positions = (_within(data, item, 0x4DBB, i) for i in (0x53AB, 0x53AC))
            assert [places[position].id for position in positions] == names
        if item.id == CUES:
            positions = _within(data, item, 0xBB, 0xB7, 0xF1)
            assert {places[position].id for position in positions} == {CLUSTER}
        if item.id == CLUSTER:
            assert _within(data, item, POSITION) in ([], [item.start - segment.body])
    assert sum(item.id == ATTACHMENTS for item in items) <= 1
    return items


def attachments(data: bytes) -> list[tuple[str, str, bytes]]:
    """Name, type and bytes of each attachment."""
    found = []
    for item in checked(data):
        for attached in parse(data, item.body, item.end) if item.id == ATTACHMENTS else ():
            parts = {i.id: data[i.body : i.end] for i in parse(data, attached.body, attached.end)}
            assert int.from_bytes(parts[0x46AE]) > 0
            found.append((parts[0x466E].decode(), parts[0x4660].decode(), parts[0x465C]))
    return found


def element(name: int, body: bytes, width: int = 0) -> bytes:
    """An element with a size field of `width` bytes (0: as few as possible)."""
    width = width or next(n for n in range(1, 9) if len(body) < (1 << 7 * n) - 1)
    size = len(body) | 1 << 7 * width
    return _uint(name) + size.to_bytes(width) + body


def _uint(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8))


def laid_out(
    data: bytes,
    order: str,
    *,
    void: int = 0,
    width: int = 8,
    positions: bool = False,
    tail: bytes = b"",
) -> bytes:
    """The same file with its elements in another order, and all numbers as short as possible.

    `order`: a letter each for SeekHead, Void, Info, Tracks, tags (G), clusters (C), cues (Q),
    attachments (A), whose body is `tail`. `width`: length of the segment's size, 0 for unknown.
    `positions`: clusters contain their positions and checksums.
    """
    layout = _Layout(data, order, void=void, positions=positions, tail=tail)
    whole = layout.build()
    size = (len(whole) | 1 << 7 * width).to_bytes(width) if width else b"\x01" + b"\xff" * 7
    return data[: segment_of(data).start] + SEGMENT.to_bytes(4) + size + whole


class _Layout:
    """Builds the body of a segment in another order, for `laid_out`."""

    def __init__(self, data: bytes, order: str, *, void: int, positions: bool, tail: bytes) -> None:
        self.data, self.order, self.void, self.tail = data, order, void, tail
        self.positions = positions
        self.segment = segment_of(data)
        self.old = parse(data, self.segment.body, self.segment.end)
        self.bodies = {item.id: data[item.body : item.end] for item in self.old}
        self.clusters = [item for item in self.old if item.id == CLUSTER]
        self.ids = dict(zip("SITGCQA", (*TOP[:4], CLUSTER, CUES, ATTACHMENTS), strict=True))
        self.starts: dict[str, int] = {}

    def build(self) -> bytes:
        whole = b""
        for _ in range(6):  # until all numbers have their final sizes
            whole = b""
            for letter in self.order:
                self.starts[letter] = len(whole)
                for number in range(len(self.clusters)) if letter == "C" else ():
                    self.starts[f"C{number}"] = len(whole)
                    whole += self._cluster(number)
                whole += self._part(letter) if letter != "C" else b""
        return whole

    def _part(self, letter: str) -> bytes:
        name = self.ids.get(letter, VOID)
        match letter:
            case "S":
                return element(name, b"".join(self._seeks()))
            case "V":
                return element(VOID, bytes(self.void))
            case "Q":
                return element(name, b"".join(self._cue_points()))
            case "A":
                return element(name, self.tail)
            case _:
                return element(name, self.bodies[name])

    def _seeks(self) -> Iterator[bytes]:
        for letter in self.order:
            if letter in self.starts and letter in "ITGQA":
                position = element(0x53AC, _uint(self.starts[letter]))
                yield element(0x4DBB, element(0x53AB, _uint(self.ids[letter])) + position)

    def _cue_points(self) -> Iterator[bytes]:
        numbers = {item.start - self.segment.body: n for n, item in enumerate(self.clusters)}
        (item,) = [i for i in self.old if i.id == CUES]
        for point in parse(self.data, item.body, item.end):
            if point.id == 0xBB:
                (time,) = _within(self.data, point, 0xB3)
                (place,) = _within(self.data, point, 0xB7, 0xF1)
                position = _uint(self.starts.get(f"C{numbers[place]}", 0))
                track = element(0xF7, b"\x01") + element(0xF1, position)
                yield element(0xBB, element(0xB3, _uint(time)) + element(0xB7, track))

    def _cluster(self, number: int) -> bytes:
        body = self.data[self.clusters[number].body : self.clusters[number].end]
        if self.positions:
            first, *_ = parse(body, 0, len(body))
            rest = body[first.end :] if first.id == CRC else body
            timestamp, *_ = parse(rest, 0, len(rest))
            place = element(POSITION, _uint(self.starts.get(f"C{number}", 0)))
            rest = rest[: timestamp.end] + place + rest[timestamp.end :]
            body = element(CRC, zlib.crc32(rest).to_bytes(4, "little")) + rest
        return element(CLUSTER, body, 8)
