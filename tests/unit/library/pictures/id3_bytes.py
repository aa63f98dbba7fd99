"""A minimal reader and writer of ID3v2 tags, from the specification, as a test oracle."""

import struct
from typing import NamedTuple

__all__ = ["Frame", "Tag", "frame", "read_tag", "synchsafe", "tag"]


class Frame(NamedTuple):
    name: bytes
    flags: bytes
    body: bytes


class Tag(NamedTuple):
    version: int
    flags: int
    frames: list[Frame]
    size: int


def synchsafe(number: int) -> bytes:
    return bytes((number >> shift) & 0x7F for shift in (21, 14, 7, 0))


def frame(version: int, name: bytes, body: bytes, flags: bytes = b"\0\0") -> bytes:
    if version == 2:
        return name + struct.pack(">I", len(body))[1:] + body
    size = synchsafe(len(body)) if version == 4 else struct.pack(">I", len(body))
    return name + size + flags + body


def tag(version: int, body: bytes, *, flags: int = 0, padding: int = 0) -> bytes:
    body += bytes(padding)
    return b"ID3" + bytes([version, 0, flags]) + synchsafe(len(body)) + body


def read_tag(data: bytes) -> Tag:
    assert data[:3] == b"ID3"
    version, flags = data[3], data[5]
    size = 0
    for byte in data[6:10]:
        size = size * 128 + byte
    body, frames, at = data[10 : 10 + size], [], 0
    width, head = (3, 6) if version == 2 else (4, 10)
    while body[at : at + 1] not in (b"", b"\0"):
        name, raw = body[at : at + width], body[at + width : at + 2 * width]
        length = 0
        for byte in raw:
            length = length * (128 if version == 4 else 256) + byte
        flag_bytes = b"" if version == 2 else body[at + 8 : at + 10]
        frames.append(Frame(name, flag_bytes, body[at + head : at + head + length]))
        at += head + length
    return Tag(version, flags, frames, 10 + size)
