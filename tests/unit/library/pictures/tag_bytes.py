"""Minimal writers of other tags, from their specifications."""

import struct

__all__ = ["ape_tag", "chunk", "id3v1", "info", "item"]


def item(name: bytes, value: bytes, flags: int = 0) -> bytes:
    return struct.pack("<II", len(value), flags) + name + b"\0" + value


def ape_tag(*items: bytes, header: bool = True, version: int = 2000) -> bytes:
    body = b"".join(items)
    flags = 1 << 31 if header else 0
    numbers = (version, len(body) + 32, len(items))
    footer = b"APETAGEX" + struct.pack("<IIII8x", *numbers, flags)
    first = b"APETAGEX" + struct.pack("<IIII8x", *numbers, flags | 1 << 29)
    return (first if header else b"") + body + footer


def id3v1(
    title: str | bytes = b"", artist: str | bytes = b"", album: str | bytes = b"", track: int = 0
) -> bytes:
    """An ID3v1 tag. Texts are truncated to 30 bytes; genre 17 is Rock."""
    fields = [
        (text.encode() if isinstance(text, str) else text)[:30].ljust(30, b"\0")
        for text in (title, artist, album)
    ]
    return b"TAG" + b"".join(fields) + b"1999" + bytes(29) + bytes([track, 17])


def chunk(name: bytes, data: bytes, *, size: str = "<I") -> bytes:
    return name + struct.pack(size, len(data)) + data + bytes(len(data) % 2)


def info(**texts: str | bytes) -> bytes:
    """A LIST INFO chunk with texts by chunk name."""
    encoded = {n: t.encode() if isinstance(t, str) else t for n, t in texts.items()}
    parts = (chunk(name.encode(), text + b"\0") for name, text in encoded.items())
    return chunk(b"LIST", b"INFO" + b"".join(parts))
