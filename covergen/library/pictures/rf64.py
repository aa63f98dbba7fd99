"""The ID3 tag in RF64 and BW64 files: WAVE files with 64-bit sizes.

Sources: EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64).
"""

import io
import os
import struct
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

from mutagen.wave import WAVE

from covergen.library.pictures.id3_places import Chunk, Place, body_of, chunks_in
from covergen.library.pictures.splice import splice
from covergen.library.pictures.texts import Texts, from_info_chunks

__all__ = ["RF64", "open_wave"]

_HEAD = struct.Struct("<4sI")
_FORMS = (b"RF64", b"BW64")
_SIZES = struct.Struct("<QQQI")  # file size, data size, sample count, table length
_ENTRY = struct.Struct("<4sQ")
_SIZES_AT = 12
_FIRST_CHUNK = 12
_IN_DS64 = 0xFFFFFFFF  # in place of a size: the real one is in the `ds64` chunk
_TAG_NAMES = (b"id3 ", b"ID3 ")
_REACH = 64 << 10


def open_wave(source: Path | BinaryIO, **options: bool) -> WAVE:
    """Open the file as a 32-bit WAVE without audio data, but with the right duration.

    Raises mutagen's errors, ValueError and struct.error.
    """
    with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
        chunks, _ = _chunks(file)
        small = [(c.name, b"" if c.name == b"data" else body_of(file, c)) for c in chunks]
    parts = [_HEAD.pack(name, len(body)) + body + bytes(len(body) % 2) for name, body in small]
    body = b"WAVE" + b"".join(parts)
    wave = WAVE(io.BytesIO(_HEAD.pack(b"RIFF", len(body)) + body), **options)
    format_ = dict(small)[b"fmt "]
    (bytes_per_second,) = struct.unpack_from("<I", format_, 8)
    data_size = sum(chunk.end - chunk.body for chunk in chunks if chunk.name == b"data")
    wave.info.length = data_size / bytes_per_second if bytes_per_second else 0.0
    return wave


def _chunks(file: BinaryIO) -> tuple[list[Chunk], int]:
    """Return all chunks and the end of the last one. Raises ValueError, struct.error."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    name, length = _HEAD.unpack(file.read(_HEAD.size))
    if name not in _FORMS or file.read(4) != b"WAVE":
        raise ValueError("the RF64 header is damaged")
    long_sizes = _long_sizes(file)
    end = _HEAD.size + (long_sizes[name] if length == _IN_DS64 else length)
    if end > size:
        raise ValueError("the end of the file is missing")
    chunks, at = [], _FIRST_CHUNK
    while at + _HEAD.size <= end:
        file.seek(at)
        name, length = _HEAD.unpack(file.read(_HEAD.size))
        body = at + _HEAD.size
        length = long_sizes[name] if length == _IN_DS64 else length
        if body + length > end:
            raise ValueError("a chunk runs past the end of the file")
        at = min(body + length + length % 2, size)
        chunks.append(Chunk(name, body - _HEAD.size, body, body + length, at))
    return chunks, max(at, end)


def _long_sizes(file: BinaryIO) -> dict[bytes, int]:
    """Return the 64-bit sizes by chunk name, including the file's own."""
    file.seek(_SIZES_AT)
    name, length = _HEAD.unpack(file.read(_HEAD.size))
    if name != b"ds64":
        raise ValueError("the ds64 chunk is missing")
    data = file.read(min(length, _REACH))
    file_size, data_size, _, count = _SIZES.unpack_from(data)
    table = data[_SIZES.size : _SIZES.size + count * _ENTRY.size]
    found = dict(_ENTRY.iter_unpack(table[: len(table) // _ENTRY.size * _ENTRY.size]))
    return {**found, b"data": data_size, **dict.fromkeys(_FORMS, file_size)}


def _tag_chunk(chunks: list[Chunk]) -> Chunk | None:
    return next((chunk for chunk in chunks if chunk.name in _TAG_NAMES), None)


def _read(file: BinaryIO) -> bytes:
    chunk = _tag_chunk(_chunks(file)[0])
    return body_of(file, chunk) if chunk else b""


def _store(file: BinaryIO, tag: bytes) -> None:
    chunks, end = _chunks(file)
    chunk = _tag_chunk(chunks)
    start, stop = (chunk.start, chunk.next) if chunk else (end, end)
    name = chunk.name if chunk else _TAG_NAMES[0]
    pad = bytes(end % 2) if chunk is None else b""  # some programs omit the last one
    data = pad + _HEAD.pack(name, len(tag)) + tag + bytes(len(tag) % 2) if tag else b""
    length = max(end, stop) - _HEAD.size + len(data) - (stop - start)
    file.seek(4)
    (stored,) = struct.unpack("<I", file.read(4))
    splice(file, start, stop, data)
    if stored == _IN_DS64:
        file.seek(_SIZES_AT + _HEAD.size)
        file.write(struct.pack("<Q", length))
    else:
        file.seek(4)
        file.write(struct.pack("<I", length))


def _around(file: BinaryIO) -> object:
    """Everything that must not change: the other chunks (audio by its size) and trailing data."""
    chunks, end = _chunks(file)
    own = _tag_chunk(chunks)
    found = [_comparable(file, chunk) for chunk in chunks if chunk is not own]
    size = file.seek(0, os.SEEK_END)
    file.seek(end)
    return found, size - end, file.read(_REACH)


def _comparable(file: BinaryIO, chunk: Chunk) -> tuple[bytes, object]:
    if chunk.name == b"data":
        return chunk.name, chunk.end - chunk.body
    body = body_of(file, chunk)
    return chunk.name, body[8:] if chunk.name == b"ds64" else body


def _texts(file: BinaryIO) -> list[Texts]:
    """Return the texts of LIST INFO."""
    return [from_info_chunks(chunks_in(_HEAD, file, _chunks(file)[0], (b"LIST", b"INFO")))]


RF64 = Place(read=_read, store=_store, around=_around, texts=_texts)
