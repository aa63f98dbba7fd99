"""A minimal reader and writer of Matroska, from RFC 8794 and 9559, as a test oracle."""

import zlib
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
    "parse",
    "segment_of",
]

EBML, SEGMENT, SEEK_HEAD = 0x1A45DFA3, 0x18538067, 0x114D9B74
CLUSTER, CUES, ATTACHMENTS, TAGS = 0x1F43B675, 0x1C53BB6B, 0x1941A469, 0x1254C367
VOID, CRC = 0xEC, 0xBF
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
    return name.to_bytes((name.bit_length() + 7) // 8) + size.to_bytes(width) + body
