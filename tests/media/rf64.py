"""WAVE files with sizes of 64 bits, made of those with 32 and turned back: RF64, EBU Tech 3306."""

import struct

__all__ = ["rf64_of", "riff_of"]

_UNKNOWN = 0xFFFFFFFF
_SIZES = struct.Struct("<QQQI")


def rf64_of(riff: bytes) -> bytes:
    """The same file as RF64; the sound's chunk is the first of its name."""
    at = riff.index(b"data", 12)
    (sound,) = struct.unpack_from("<I", riff, at + 4)
    chunks = riff[12:at] + b"data" + struct.pack("<I", _UNKNOWN) + riff[at + 8 :]
    whole = 4 + 8 + _SIZES.size + len(chunks)
    sizes = b"ds64" + struct.pack("<I", _SIZES.size) + _SIZES.pack(whole, sound, 0, 0)
    return b"RF64" + struct.pack("<I", _UNKNOWN) + b"WAVE" + sizes + chunks


def riff_of(rf64: bytes) -> bytes:
    """What `rf64_of` was given."""
    _, sound, _, _ = _SIZES.unpack_from(rf64, 20)
    chunks = rf64[20 + _SIZES.size :]
    at = chunks.index(b"data")
    chunks = chunks[:at] + b"data" + struct.pack("<I", sound) + chunks[at + 8 :]
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks
