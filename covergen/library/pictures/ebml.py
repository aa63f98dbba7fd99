"""EBML, which Matroska is written in: elements within elements.

Source: RFC 8794.
"""

import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

__all__ = [
    "CRC",
    "VOID",
    "Element",
    "children",
    "element",
    "elements_in",
    "head_at",
    "master",
    "number",
    "number_bytes",
    "size_bytes",
    "void",
    "void_head",
]

VOID = b"\xec"
CRC = b"\xbf"
_MOST_HEAD = 12  # four bytes of an ID and eight of a size


class Element(NamedTuple):
    """An element's ID, and where it begins, its body begins, and it ends."""

    id: bytes
    start: int
    body: int
    end: int


def head_at(file: BinaryIO, at: int) -> tuple[bytes, int, int | None]:
    """The ID of the element at `at`, where its body begins, and its size, None if it is unknown.

    Raises ValueError.
    """
    file.seek(at)
    name, length, size = _head(file.read(_MOST_HEAD), 0)
    return name, at + length, size


def elements_in(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    """The elements between two places of a file. Raises ValueError."""
    while start < end:
        name, body, size = head_at(file, start)
        if size is None or body + size > end:
            raise ValueError("an element runs past its end")
        yield Element(name, start, body, body + size)
        start = body + size


def children(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Of each element in the body of another one its ID, its body, and all its bytes.

    Raises ValueError.
    """
    at = 0
    while at < len(data):
        name, head, size = _head(data, at)
        if size is None or at + head + size > len(data):
            raise ValueError("an element runs past its end")
        yield name, data[at + head : at + head + size], data[at : at + head + size]
        at += head + size


def _head(data: bytes, at: int) -> tuple[bytes, int, int | None]:
    """An element's ID, the length of its head, and its size."""
    id_length = _length(data, at)
    length = _length(data, at + id_length)
    field = data[at + id_length : at + id_length + length]
    if id_length > 4 or len(field) < length:
        raise ValueError("an element has no whole head")
    mask = (1 << 7 * length) - 1
    size = int.from_bytes(field, "big") & mask
    return data[at : at + id_length], id_length + length, None if size == mask else size


def _length(data: bytes, at: int) -> int:
    """How many bytes a number of variable length has: as many as bits up to the first set one."""
    if not data[at : at + 1].strip(b"\0"):
        raise ValueError("an element has no head")
    return 9 - data[at].bit_length()


def size_bytes(size: int, length: int = 0) -> bytes:
    """A size in `length` bytes, 0 for as few as it takes. Raises OverflowError."""
    for count in (length,) if length else range(1, 9):
        if size < (1 << 7 * count) - 1:
            return (size | 1 << 7 * count).to_bytes(count, "big")
    raise OverflowError("a size that has no room")


def element(name: bytes, body: bytes, *, total: int = 0) -> bytes:
    """An element, of so many bytes in `total` if any. Raises OverflowError where it has more."""
    return name + size_bytes(len(body), total and total - len(name) - len(body)) + body


def master(name: bytes, parts: list[bytes], *, crc: bool) -> bytes:
    """An element of others, with their checksum if that is asked for."""
    body = b"".join(parts)
    if crc:
        body = element(CRC, zlib.crc32(body).to_bytes(4, "little")) + body
    return element(name, body)


def void_head(total: int) -> bytes:
    """The head of an element of `total` bytes, two at least, that holds nothing."""
    length = min(8, total - 1)
    return VOID + size_bytes(total - 1 - length, length)


def void(total: int) -> bytes:
    """An element of `total` bytes that holds nothing; b"" for none."""
    return void_head(total).ljust(total, b"\0") if total else b""


def number(data: bytes) -> int:
    """An unsigned integer."""
    return int.from_bytes(data, "big")


def number_bytes(value: int, least: int = 1) -> bytes:
    """An unsigned integer in `least` bytes, or in more if it takes them."""
    return value.to_bytes(max(least, (value.bit_length() + 7) // 8), "big")
