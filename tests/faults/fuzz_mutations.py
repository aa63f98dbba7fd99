"""Files harmed by chance: each is decided by its number and the seed alone."""

import io
import struct
from collections.abc import Callable, Sequence

import numpy as np
from mutagen import MutagenError
from mutagen.ogg import OggPage

__all__ = ["mutate"]

_HEAD = 4096  # where most of what a parser believes lies
_MOST_MUTATIONS = 4
_LONGEST_RANGE = 1 << 14
_SYNCHSAFE_MOST = 0x7F7F7F7F

Random = np.random.Generator


def mutate(data: bytes, other: bytes, random: Random) -> bytes:
    """One to four mutations of a file; `other` is what parts of another file are taken from.

    Half of the Ogg files get right checksums again, so that parsers look further than those.
    """
    for _ in range(random.integers(1, _MOST_MUTATIONS + 1)):
        change = _CHANGES[int(random.integers(len(_CHANGES)))]
        data = change(data, other, random)
    if data.startswith(b"OggS") and random.random() < 0.5:
        return _with_right_checksums(data)
    return data


def _flip_bits(data: bytes, _other: bytes, random: Random) -> bytes:
    harmed = bytearray(data)
    for _ in range(random.integers(1, 65) if data else 0):
        harmed[_place(data, random)] ^= 1 << int(random.integers(8))
    return bytes(harmed)


def _cut_end(data: bytes, _other: bytes, random: Random) -> bytes:
    return data[: _place(data, random)]


def _cut_range(data: bytes, _other: bytes, random: Random) -> bytes:
    start, end = _range(data, random)
    return data[:start] + data[end:]


def _duplicate_range(data: bytes, _other: bytes, random: Random) -> bytes:
    start, end = _range(data, random)
    return data[:end] + data[start:end] * int(random.integers(1, 4)) + data[end:]


def _insert_noise(data: bytes, _other: bytes, random: Random) -> bytes:
    at, size = _place(data, random), int(random.integers(1, 257))
    return data[:at] + random.bytes(size) + data[at:]


def _zero_range(data: bytes, _other: bytes, random: Random) -> bytes:
    start, end = _range(data, random)
    return data[:start] + bytes(end - start) + data[end:]


def _set_length(data: bytes, _other: bytes, random: Random) -> bytes:
    """Give what looks like a length, since it is no more than what follows, an extreme value."""
    form = ("<H", ">H", "<I", ">I", "<I", ">I", "<Q", ">Q")[random.integers(8)]
    size = struct.calcsize(form)
    harmed = bytearray(data)
    for _ in range(200):
        at = _place(data, random)
        if at + size <= len(data):
            (value,) = struct.unpack_from(form, data, at)
            if 0 < value <= len(data) - at:
                most = (1 << 8 * size) - 1
                extremes = (0, 1, value - 1, value + 1, most, most >> 1, most // 2 + 1, len(data))
                chosen = (*extremes, _SYNCHSAFE_MOST)[random.integers(len(extremes) + 1)]
                struct.pack_into(form, harmed, at, min(chosen, most))
                break
    return bytes(harmed)


def _splice(data: bytes, other: bytes, random: Random) -> bytes:
    return data[: _place(data, random)] + other[_place(other, random) :]


_CHANGES: Sequence[Callable[[bytes, bytes, Random], bytes]] = (
    _flip_bits,
    _cut_end,
    _cut_range,
    _duplicate_range,
    _insert_noise,
    _zero_range,
    _set_length,
    _set_length,
    _set_length,
    _splice,
)


def _place(data: bytes, random: Random) -> int:
    """Anywhere in a file; half of the time near its start, where its structure is."""
    reach = min(len(data), _HEAD) if random.random() < 0.5 else len(data)
    return int(random.integers(max(1, reach)))


def _range(data: bytes, random: Random) -> tuple[int, int]:
    start = _place(data, random)
    return start, min(len(data), start + int(random.integers(1, _LONGEST_RANGE)))


def _with_right_checksums(data: bytes) -> bytes:
    file, pages = io.BytesIO(data), []
    at = 0
    try:
        while at < len(data):
            pages.append(OggPage(file).write())
            at = file.tell()
    except (MutagenError, EOFError, ValueError, struct.error):
        pass  # the rest stays as it is
    return b"".join(pages) + data[at:]
