"""Direct Stream Digital (one-bit samples at 64 × 44.1 kHz) in DSF and DFF files."""

import struct

import numpy as np
from numpy.typing import NDArray

__all__ = ["dff", "dsf"]

_SAMPLE_RATE = 64 * 44_100
_BLOCK = 4096


def dsf(samples: NDArray[np.float32], sample_rate: int) -> bytes:
    """Encode (channels, samples) as DSF: blocks per channel, least significant bit first.

    Source: Sony, DSF File Format Specification, version 1.01.
    """
    bits = _modulate(samples, sample_rate)
    channels, count = bits.shape
    stream = np.packbits(bits, axis=1, bitorder="little")
    stream = np.pad(stream, ((0, 0), (0, -stream.shape[1] % _BLOCK)))
    data = stream.reshape(channels, -1, _BLOCK).swapaxes(0, 1).tobytes()
    total = 28 + 52 + 12 + len(data)
    numbers = (1, 0, channels, channels, _SAMPLE_RATE, 1, count, _BLOCK, 0)
    return b"".join(
        (
            struct.pack("<4sQQQ", b"DSD ", 28, total, 0),
            struct.pack("<4sQ6IQII", b"fmt ", 52, *numbers),
            struct.pack("<4sQ", b"data", 12 + len(data)),
            data,
        )
    )


def dff(samples: NDArray[np.float32], sample_rate: int) -> bytes:
    """Encode (channels, samples) as DFF: bytes interleaved, most significant bit first.

    Source: Philips, DSDIFF 1.5 Specification.
    """
    bits = _modulate(samples, sample_rate)
    names = {1: [b"C   "], 2: [b"SLFT", b"SRGT"]}[len(bits)]
    text = b"not compressed"
    properties = (
        b"SND ",
        _chunk(b"FS  ", struct.pack(">I", _SAMPLE_RATE)),
        _chunk(b"CHNL", struct.pack(">H", len(names)), *names),
        _chunk(b"CMPR", b"DSD ", bytes([len(text)]), text),
    )
    return _chunk(
        b"FRM8",
        b"DSD ",
        _chunk(b"FVER", struct.pack(">I", 0x01050000)),
        _chunk(b"PROP", *properties),
        _chunk(b"DSD ", np.packbits(bits, axis=1).T.tobytes()),
    )


def _chunk(name: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">4sQ", name, len(data)) + data + bytes(len(data) % 2)


def _modulate(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.bool_]:
    """Apply first-order sigma-delta modulation. Returns (channels, bits) in whole bytes."""
    seconds = samples.shape[1] / sample_rate
    time = np.arange(round(seconds * _SAMPLE_RATE) // 8 * 8) * (sample_rate / _SAMPLE_RATE)
    steps = np.arange(samples.shape[1])
    dense = np.stack([np.interp(time, steps, channel) for channel in samples])
    whole = np.floor(np.cumsum((dense + 1) / 2, axis=1))
    return np.diff(whole, axis=1, prepend=0) > 0
