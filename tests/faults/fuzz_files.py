"""The files to damage, and random damage to them, determined by file number and seed."""

import io
import shutil
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from mutagen import MutagenError
from mutagen.ogg import OggPage

from tests.media import CONTAINERS, EXTENSION, encode, picture_bytes, put_picture, put_tags
from tests.unit.library.pictures.tag_bytes import ape_tag, chunk, id3v1, info, item

__all__ = ["make_seeds", "mutate", "read_seeds"]

_TAGS = {
    "title": "Überfahrt 海",
    "artist": "Ana",
    "album": "Inseln",
    "album_artist": "Ana",
    "date": "1997-05-21",
    "track_number": "3/12",
    "compilation": "1",
}
_ID3 = ("mp3", "wav", "aiff", "dsf", "dff", "tta")
_SECONDS = 0.4


def make_seeds(folder: Path) -> None:
    """Write the undamaged files into a new folder."""
    folder.mkdir(parents=True)
    for container in CONTAINERS:
        bare = folder / f"bare{EXTENSION[container]}"
        encode(bare, container, seconds=_SECONDS, kind="melody", sample_rate=22_050)
        for version in (3, 4) if container in _ID3 else (3,):
            _tagged(bare, folder / f"tagged {version}{bare.suffix}", container, version)
    encode(folder / "lossless.m4a", "mp4", seconds=_SECONDS, alac=True, tags={"title": "A"})
    song, wav = (folder / "bare.mp3").read_bytes(), (folder / "bare.wav").read_bytes()
    (folder / "old.mp3").write_bytes(song + id3v1("Title"))
    items = ape_tag(item(b"Title", b"Title"), item(b"Track", b"3/12"))
    (folder / "apev2.mp3").write_bytes(song + items + id3v1("Title"))
    trailing = chunk(b"id3 ", b"ID3\3\0\0\0\0\0\x0cTIT2\0\0\0\2\0\0\0T")
    (folder / "behind.wav").write_bytes(wav + trailing)
    texts = wav + info(INAM="Title", IART="Ana")
    (folder / "info.wav").write_bytes(texts[:4] + struct.pack("<I", len(texts) - 8) + texts[8:])


def read_seeds(folder: Path) -> list[tuple[str, bytes]]:
    """Each file's extension and bytes, in a fixed order."""
    return [(path.suffix, path.read_bytes()) for path in sorted(folder.iterdir())]


def _tagged(bare: Path, path: Path, container: str, version: int) -> None:
    shutil.copyfile(bare, path)
    put_tags(path, container, _TAGS, id3_version=version)
    for kind, size in ((3, 24), (4, 16)):
        put_picture(path, container, picture_bytes("png", size), kind=kind, id3_version=version)


_HEAD = 4096  # where most structure is
_MAX_MUTATIONS = 4
_MAX_RANGE = 1 << 14
_MAX_SYNCHSAFE = 0x7F7F7F7F

Random = np.random.Generator


def mutate(data: bytes, other: bytes, random: Random) -> bytes:
    """Apply one to four mutations to a file; `other` is a source of foreign bytes.

    Half of the Ogg files get correct checksums again, so that parsers read on.
    """
    for _ in range(random.integers(1, _MAX_MUTATIONS + 1)):
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
    """Set a number that may be a length, since it fits the remaining bytes, to an extreme value."""
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
                chosen = (*extremes, _MAX_SYNCHSAFE)[random.integers(len(extremes) + 1)]
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
    """A random offset; half of the time near the start, where the structure is."""
    reach = min(len(data), _HEAD) if random.random() < 0.5 else len(data)
    return int(random.integers(max(1, reach)))


def _range(data: bytes, random: Random) -> tuple[int, int]:
    start = _place(data, random)
    return start, min(len(data), start + int(random.integers(1, _MAX_RANGE)))


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
