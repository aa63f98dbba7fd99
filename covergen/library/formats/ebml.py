"""EBML, the nested binary format of Matroska.

Source: RFC 8794.
"""

import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

VOID = b"\xec"
CRC = b"\xbf"
_MAX_HEAD_BYTES = 12  # an ID of up to 4 bytes and a size of up to 8


class Element(NamedTuple):
    """An element's ID, and the offsets of its start, its body and its end."""

    id: bytes
    start: int
    body: int
    end: int

    def read(self, file: BinaryIO) -> bytes:
        """Read the body."""
        return read_bytes(file, self.body, self.end)


def read_bytes(file: BinaryIO, start: int, end: int) -> bytes:
    """Read the bytes between two offsets."""
    file.seek(start)
    return file.read(end - start)


def head_at(file: BinaryIO, at: int) -> tuple[bytes, int, int | None]:
    """Return an element's ID, the offset of its body, and its size (None if unknown).

    Raises ValueError.
    """
    file.seek(at)
    name, length, size = _head(file.read(_MAX_HEAD_BYTES), 0)
    return name, at + length, size


def elements_in(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    """Yield the elements between two offsets of a file. Raises ValueError."""
    while start < end:
        name, body, size = head_at(file, start)
        if size is None or body + size > end:
            raise ValueError("an element runs past its end")
        yield Element(name, start, body, body + size)
        start = body + size


def children(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield ID, body and all bytes of each element in another's body.

    Raises ValueError.
    """
    at = 0
    while at < len(data):
        name, head, size = _head(data, at)
        if size is None or at + head + size > len(data):
            raise ValueError("an element runs past its end")
        yield name, data[at + head : at + head + size], data[at : at + head + size]
        at += head + size


def parts_of(data: bytes, name: bytes) -> list[bytes]:
    """The bodies of the elements with this ID in another's body. Raises ValueError."""
    return [body for found, body, _ in children(data) if found == name]


def _head(data: bytes, at: int) -> tuple[bytes, int, int | None]:
    """Return an element's ID, the length of its head, and its size (None if unknown)."""
    id_length = _length(data, at)
    length = _length(data, at + id_length)
    field = data[at + id_length : at + id_length + length]
    if id_length > 4 or len(field) < length:
        raise ValueError("the head of an element is cut short")
    mask = (1 << 7 * length) - 1
    size = int.from_bytes(field, "big") & mask
    return data[at : at + id_length], id_length + length, None if size == mask else size


def _length(data: bytes, at: int) -> int:
    """Return the length of a variable-size integer: the position of the first set bit."""
    if not data[at : at + 1].strip(b"\0"):
        raise ValueError("an element has no head")
    return 9 - data[at].bit_length()


def size_bytes(size: int, length: int = 0) -> bytes:
    """Encode a size in `length` bytes (0: as few as possible). Raises OverflowError."""
    for count in (length,) if length else range(1, 9):
        if size < (1 << 7 * count) - 1:
            return (size | 1 << 7 * count).to_bytes(count, "big")
    raise OverflowError("a size does not fit into its field")


def element(name: bytes, body: bytes, *, total: int = 0) -> bytes:
    """Encode an element, in `total` bytes if given. Raises OverflowError if it is larger."""
    return name + size_bytes(len(body), total and total - len(name) - len(body)) + body


def master(name: bytes, parts: list[bytes], *, crc: bool) -> bytes:
    """Encode an element of other elements, with a checksum if `crc`."""
    body = b"".join(parts)
    if crc:
        body = element(CRC, zlib.crc32(body).to_bytes(4, "little")) + body
    return element(name, body)


def void(total: int) -> bytes:
    """Encode a Void element of `total` bytes, at least 2; b"" for 0."""
    if not total:
        return b""
    length = min(8, total - 1)
    return (VOID + size_bytes(total - 1 - length, length)).ljust(total, b"\0")


def number(data: bytes) -> int:
    """Decode an unsigned integer."""
    return int.from_bytes(data, "big")


def number_bytes(value: int) -> bytes:
    """Encode an unsigned integer in as few bytes as possible."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
