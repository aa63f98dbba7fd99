"""Files built to make a parser use too much time or memory."""

import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import av
import numpy as np

from tests.media import encode, put_tags
from tests.unit.library.pictures.ogg_bytes import pages, write_page

__all__ = ["HOSTILE"]

_MAX_BLOCK = (1 << 24) - 1


def _flac_with_pictures(path: Path, count: int) -> None:
    """Picture blocks of the maximum size, 16 MiB, in a sparse file."""
    encode(path, "flac", seconds=0.5)
    put_tags(path, "flac", {"title": "Song"})
    data = path.read_bytes()
    mime = b"image/png"
    head = struct.pack(">II", 4, len(mime)) + mime + struct.pack(">I", 0)
    head += struct.pack(">5I", 1, 1, 24, 0, _MAX_BLOCK - len(head) - 20)
    with path.open("wb") as file:
        file.write(data[:42])  # the marker and STREAMINFO
        for _ in range(count):
            file.write(struct.pack(">I", 6 << 24 | _MAX_BLOCK) + head)
            file.seek(_MAX_BLOCK - len(head), 1)
        file.write(data[42:])


def _id3(path: Path, frames: bytes, version: int = 4) -> None:
    encode(path, "mp3", seconds=0.5)
    tag = b"ID3" + bytes([version, 0, 0]) + _synchsafe(len(frames)) + frames
    path.write_bytes(tag + path.read_bytes())


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def _picture_frame(number: int) -> bytes:
    body = b"\0image/png\0\4" + b"%d\0" % number + bytes(100_000)
    return b"APIC" + _synchsafe(len(body)) + b"\0\0" + body


def _packed_frame(name: bytes) -> bytes:
    packer = zlib.compressobj(9)
    packed = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed += 63 * packed[2:]
    body = _synchsafe(1 << 20) + packed  # 1 GiB, declared as 1 MiB
    return name + _synchsafe(len(body)) + b"\0\x09" + body


def _mp4_with(path: Path, atom: bytes, body: bytes, *, size: int | None = None) -> None:
    """Add an atom at the end of `moov`, possibly with a wrong size."""
    encode(path, "mp4", seconds=0.5)
    data = path.read_bytes()
    start = data.index(b"moov") - 4
    (length,) = struct.unpack_from(">I", data, start)
    more = struct.pack(">I4s", len(body) + 8 if size is None else size, atom) + body
    moov = struct.pack(">I", length + len(more)) + data[start + 4 : start + length] + more
    path.write_bytes(data[:start] + moov + data[start + length :])


def _nested(name: bytes, depth: int) -> bytes:
    heads = (struct.pack(">I4s", 8 * left, name) for left in range(depth, 0, -1))
    return b"".join(heads)


def _mp4_fragment(path: Path, samples: int) -> None:
    """A fragment whose header of 20 bytes declares any number of samples."""
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(str(path), "w", format="mp4", container_options=options) as file:
        stream = file.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 44_100
        for number in range(20):
            frame.pts = 1024 * number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    at = data.index(b"trun") - 4
    size, _, _, _, offset = struct.unpack_from(">I4sIII", data, at)
    struct.pack_into(">I4sIII", data, at, 20, b"trun", 1, samples, offset)
    struct.pack_into(">I4s", data, at + 20, size - 20, b"free")
    path.write_bytes(data)


def _ogg_chain(path: Path, links: int) -> None:
    encode(path, "vorbis", seconds=0.2)
    path.write_bytes(path.read_bytes() * links)


def _ogg_without_end(path: Path) -> None:
    """A comment header without end: 58 MB of full pages."""
    encode(path, "vorbis", seconds=0.2)
    first, second, *_ = pages(path.read_bytes())
    full = second._replace(lacing=b"\xff" * 255, payload=second.payload[:100].ljust(255 * 255))
    path.write_bytes(write_page(first) + 900 * write_page(full))


HOSTILE: Mapping[str, tuple[str, Callable[[Path], None], str]] = {
    "a picture of 16 MiB": (".flac", lambda p: _flac_with_pictures(p, 1), ""),
    "300 MB of tags": (".flac", lambda p: _flac_with_pictures(p, 18), "64 MiB"),
    "a hundred pictures": (
        ".mp3",
        lambda p: _id3(p, b"".join(map(_picture_frame, range(100)))),
        "",
    ),
    "a picture that unpacks to 1 GiB": (
        ".mp3",
        lambda p: _id3(p, _packed_frame(b"APIC")),
        "decompresses to too much",
    ),
    "a title that unpacks to 1 GiB": (
        ".mp3",
        lambda p: _id3(p, _packed_frame(b"TIT2")),
        "decompresses to too much",
    ),
    "a million frames": (
        ".mp3",
        lambda p: _id3(p, (b"TXXX" + _synchsafe(1) + b"\0\0\0") * 1_000_000),
        "frames",
    ),
    "an atom of 4 GiB": (".m4a", lambda p: _mp4_with(p, b"udta", b"", size=0xFFFFFFFF), "damaged"),
    "an atom of 8 EiB": (
        ".m4a",
        lambda p: _mp4_with(p, b"udta", struct.pack(">Q", 1 << 62), size=1),
        "damaged",
    ),
    "atoms in atoms": (
        ".m4a",
        lambda p: _mp4_with(p, b"mfra", _nested(b"mfra", 20_000)),
        "invalid file structure",
    ),
    "five million samples in 20 bytes": (
        ".m4a",
        lambda p: _mp4_fragment(p, 5_000_000),
        "its index is larger than the file",
    ),
    "four billion samples in 20 bytes": (
        ".m4a",
        lambda p: _mp4_fragment(p, 0x7FFFFFFF),
        "cannot be decoded",
    ),
    "an endless chain": (".ogg", lambda p: _ogg_chain(p, 2000), ""),
    "a header without end": (".ogg", _ogg_without_end, "no appropriate stream"),
}
"""By description: the extension, the maker, and a part of the expected message."""
