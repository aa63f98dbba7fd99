"""Where an ID3v2 tag lies in the kinds of files that carry one, and how to put another there."""

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, NamedTuple

from covergen.library.pictures.id3_header import id3_size
from covergen.library.pictures.splice import outside, splice

__all__ = ["AIFF", "DFF", "DSF", "START", "WAV", "Place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`read` gives the tag's bytes, b"" without one; `store` puts others in their place, or none.

    `around` gives what else lies in the file, as far as it is cheap to read. `beside_id3v1`: such
    files may carry an ID3v1 tag at their end. All raise ValueError or struct.error where the file
    is not built as its format says.
    """

    read: Callable[[BinaryIO], bytes]
    store: Callable[[BinaryIO, bytes], None]
    around: Callable[[BinaryIO], object]
    beside_id3v1: bool = False


def _tag_at(file: BinaryIO, offset: int) -> bytes:
    file.seek(offset)
    size = id3_size(file.read(10))
    file.seek(offset)
    data = file.read(size)
    if len(data) < size:
        raise ValueError("its ID3 tag runs past the end of the file")
    return data


# MP3 and TTA: in front of everything. What is at the end, ID3v1 or APEv2, is not touched.


def _store_at_start(file: BinaryIO, tag: bytes) -> None:
    splice(file, 0, len(_tag_at(file, 0)), tag)


START = Place(
    read=partial(_tag_at, offset=0),
    store=_store_at_start,
    around=lambda file: outside(file, 0, len(_tag_at(file, 0))),
    beside_id3v1=True,
)


# DSF: at the end, where the header points. Source: DSF File Format Specification 1.01.

_DSF_HEADER = struct.Struct("<4sQQQ")
_DSF_DATA = 28 + 52  # behind the header and the format chunk, whose sizes are fixed


def _dsf_tag(file: BinaryIO) -> tuple[int, bytes]:
    """Where the tag lies, or would lie, and its bytes."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    magic, _, _, pointer = _DSF_HEADER.unpack(file.read(_DSF_HEADER.size))
    if magic != b"DSD " or pointer > size:
        raise ValueError("its DSF header is damaged")
    file.seek(_DSF_DATA)
    (sound,) = struct.unpack("<4xQ", file.read(12))
    if _DSF_DATA + sound > size:
        raise ValueError("its end is missing")
    return (pointer, _tag_at(file, pointer)) if pointer else (size, b"")


def _store_in_dsf(file: BinaryIO, tag: bytes) -> None:
    start, old = _dsf_tag(file)
    splice(file, start, start + len(old), tag)
    size = file.seek(0, os.SEEK_END)
    file.seek(12)
    file.write(struct.pack("<QQ", size, start if tag else 0))


def _around_dsf(file: BinaryIO) -> object:
    start, old = _dsf_tag(file)
    size, before, after = outside(file, start, start + len(old))
    file.seek(_DSF_HEADER.size)
    return size, file.read(64), before[_DSF_HEADER.size :], after


DSF = Place(read=lambda file: _dsf_tag(file)[1], store=_store_in_dsf, around=_around_dsf)


# WAV, AIFF, DFF: in a chunk of its own. Sources: EA IFF 85, RIFF 1991, DSDIFF 1.5.


class _Form(NamedTuple):
    """A family of chunked files. The first of `tag_names` is for a new chunk."""

    name: bytes
    kinds: tuple[bytes, ...]
    head: struct.Struct
    tag_names: tuple[bytes, ...]
    audio_names: tuple[bytes, ...]


class _Chunk(NamedTuple):
    """A chunk's name, and where it begins, its body begins and ends, and the next begins."""

    name: bytes
    start: int
    body: int
    end: int
    next: int


def _chunks(form: _Form, file: BinaryIO) -> tuple[list[_Chunk], int]:
    """All chunks, and where the form ends.

    Sound that claims to go on behind the end of the file ends there: its length was not known when
    its header was written, as in a pipe, or the file was cut short.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    name, length = form.head.unpack(file.read(form.head.size))
    end = min(form.head.size + length, size)
    if name != form.name or file.read(4) not in form.kinds:
        raise ValueError(f"its {form.name.decode()} header is damaged")
    chunks, at = [], form.head.size + 4
    while at + form.head.size <= end:
        file.seek(at)
        name, length = form.head.unpack(file.read(form.head.size))
        body = at + form.head.size
        if body + length > end:
            if name not in form.audio_names:
                raise ValueError("a chunk runs past the end of the file")
            length = end - body
        following = min(body + length + length % 2, size)
        chunks.append(_Chunk(name, at, body, body + length, following))
        at = following
    return chunks, max(at, end)


def _tag_chunk(form: _Form, chunks: list[_Chunk]) -> _Chunk | None:
    return next((chunk for chunk in chunks if chunk.name in form.tag_names), None)


def _read_chunk(form: _Form, file: BinaryIO) -> bytes:
    chunk = _tag_chunk(form, _chunks(form, file)[0])
    if chunk is None:
        return b""
    file.seek(chunk.body)
    return file.read(chunk.end - chunk.body)


def _store_chunk(form: _Form, file: BinaryIO, tag: bytes) -> None:
    chunks, end = _chunks(form, file)
    chunk = _tag_chunk(form, chunks)
    if chunk is not None:
        start, stop, pad = chunk.start, chunk.next, b""
        name = chunk.name
    else:
        # Some writers leave out the last pad byte.
        start, stop, pad = end, end, bytes(end % 2)
        name = form.tag_names[0]
    data = pad + form.head.pack(name, len(tag)) + tag + bytes(len(tag) % 2) if tag else b""
    length = max(end, stop) - form.head.size + len(data) - (stop - start)
    header = form.head.pack(form.name, length)
    last = chunks[-1]
    if last.name in form.audio_names:  # which may have claimed to be longer
        file.seek(last.start)
        file.write(form.head.pack(last.name, last.end - last.body))
    splice(file, start, stop, data)
    file.seek(0)
    file.write(header)


def _around_chunk(form: _Form, file: BinaryIO) -> object:
    chunks, end = _chunks(form, file)
    found: list[object] = []
    for chunk in chunks:
        if chunk.name in form.audio_names:
            found.append((chunk.name, chunk.end - chunk.body))
        elif chunk is not _tag_chunk(form, chunks):
            file.seek(chunk.body)
            found.append((chunk.name, file.read(chunk.end - chunk.body)))
    size = file.seek(0, os.SEEK_END)
    file.seek(end)
    return found, size - end, file.read(64 << 10)


def _in_chunk(form: _Form) -> Place:
    return Place(
        read=partial(_read_chunk, form),
        store=partial(_store_chunk, form),
        around=partial(_around_chunk, form),
    )


WAV = _in_chunk(_Form(b"RIFF", (b"WAVE",), struct.Struct("<4sI"), (b"id3 ", b"ID3 "), (b"data",)))
AIFF = _in_chunk(_Form(b"FORM", (b"AIFF", b"AIFC"), struct.Struct(">4sI"), (b"ID3 ",), (b"SSND",)))
DFF = _in_chunk(_Form(b"FRM8", (b"DSD ",), struct.Struct(">4sQ"), (b"ID3 ",), (b"DSD ", b"DST ")))
