"""Test files shared by the tests of windows."""

import struct
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.media import (
    CONTAINERS,
)

LONG_ENCODED = [c for c in CONTAINERS if c not in ("ape", "musepack", "speex", "dsf", "dff")]


def write_wav(path: Path, samples: NDArray[np.int16], sample_rate: int = 48_000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((samples.shape[0], 2, sample_rate, 0, "NONE", ""))
        file.writeframes(samples.T.tobytes())
    return path


def raw_wav(path: Path, samples: NDArray[np.generic]) -> Path:
    """A mono WAV file at 48 kHz of any sample format."""
    form, size = (3 if samples.dtype.kind == "f" else 1), samples.dtype.itemsize
    header = struct.pack("<HHIIHH", form, 1, 48_000, 48_000 * size, size, 8 * size)
    data = samples.tobytes()
    chunks = b"fmt " + struct.pack("<I", len(header)) + header
    chunks += b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    return path


def ogg_checksum(page: bytearray) -> bytes:
    """Source: RFC 3533, section 6."""
    checksum = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = checksum << 1 ^ (0x104C11DB7 if checksum & 1 << 31 else 0)
    return checksum.to_bytes(4, "little")
