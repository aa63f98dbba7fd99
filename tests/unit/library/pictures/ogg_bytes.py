"""A minimal reader and writer of Ogg pages, from RFC 3533, as a test oracle."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Page", "pages", "write_page"]


class Page(NamedTuple):
    flags: int
    position: int
    serial: int
    sequence: int
    crc: int
    lacing: bytes
    payload: bytes


def pages(data: bytes) -> Iterator[Page]:
    """Yield all pages, which must follow each other without gaps."""
    at = 0
    while at < len(data):
        magic, _, flags, position, serial, sequence, crc, count = struct.unpack_from(
            "<4sBBqIIIB", data, at
        )
        assert magic == b"OggS"
        lacing = data[at + 27 : at + 27 + count]
        start = at + 27 + count
        at = start + sum(lacing)
        page = Page(flags, position, serial, sequence, crc, lacing, data[start:at])
        assert crc == _crc(_bytes(page, 0))
        yield page


def write_page(page: Page) -> bytes:
    """The page's bytes with a correct checksum."""
    return _bytes(page, _crc(_bytes(page, 0)))


def _bytes(page: Page, crc: int) -> bytes:
    numbers = (page.flags, page.position, page.serial, page.sequence, crc, len(page.lacing))
    return struct.pack("<4sBBqIIIB", b"OggS", 0, *numbers) + page.lacing + page.payload


def _crc(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _TABLE[crc >> 24 ^ byte]
    return crc


def _entry(value: int) -> int:
    value <<= 24
    for _ in range(8):
        value = value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)
    return value & 0xFFFFFFFF


_TABLE = [_entry(value) for value in range(256)]
