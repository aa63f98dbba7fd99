"""The ID3v2 tag in WAV, AIFF and DFF files, which consist of chunks.

Sources: RIFF 1991, EA IFF 85, DSDIFF 1.5.
"""

import os
import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import BinaryIO, NamedTuple

from covergen.library.formats.splice import splice
from covergen.library.formats.tag_format import Place
from covergen.library.formats.texts_for_id3 import (
    Texts,
    from_aiff_chunks,
    from_diin_chunks,
    from_info_chunks,
)

_MAX_TRAILING_CHUNKS = 16
_MAX_TEXT_BYTES = 64 << 10
_REACH = 64 << 10


class _Form(NamedTuple):
    """A chunk-based format. A new tag chunk gets the first of `tag_names`.

    `texts` reads texts from other chunks: top-level ones, or those inside the `text_list` chunks,
    given as name and first bytes of the body. A `tag_list` chunk may contain a tag too.
    """

    name: bytes
    kinds: tuple[bytes, ...]
    head: struct.Struct
    tag_names: tuple[bytes, ...]
    audio_names: tuple[bytes, ...]
    texts: Callable[[Iterable[tuple[bytes, bytes]]], Texts]
    text_list: tuple[bytes, bytes] | None = None
    tag_list: tuple[bytes, bytes] | None = None


class _Chunk(NamedTuple):
    """A chunk's name, and the offsets of its start, its body, the body's end and the next chunk."""

    name: bytes
    start: int
    body: int
    end: int
    next: int


def _chunks(form: _Form, file: BinaryIO) -> tuple[list[_Chunk], int]:
    """Return all chunks and the end of the form, including a tag that its size omits.

    An audio chunk that runs past the end of the file is cut off there: the file was written to a
    pipe, before its length was known, or is truncated.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    name, length = form.head.unpack(file.read(form.head.size))
    if name != form.name or file.read(4) not in form.kinds:
        raise ValueError(f"the {form.name.decode()} header is damaged")
    end = min(form.head.size + length, size)
    chunks, at = [], form.head.size + 4
    while at + form.head.size <= end:
        chunk = _chunk_at(form, file, at, size)
        if chunk.end > end:
            if chunk.name not in form.audio_names:
                raise ValueError("a chunk runs past the end of the file")
            chunk = chunk._replace(end=end, next=min(end + (end - chunk.body) % 2, size))
        chunks.append(chunk)
        at = chunk.next
    if _tag_chunk(form, chunks) is None and (trailing := _up_to_tag(form, file, max(at, end))):
        chunks += trailing
        at = trailing[-1].next
    return chunks, max(at, end)


def _chunk_at(form: _Form, file: BinaryIO, at: int, size: int) -> _Chunk:
    file.seek(at)
    name, length = form.head.unpack(file.read(form.head.size))
    body = at + form.head.size
    return _Chunk(name, at, body, body + length, min(body + length + length % 2, size))


def _up_to_tag(form: _Form, file: BinaryIO, at: int) -> list[_Chunk]:
    """Return the chunks after the end of the form up to one with a tag; [] if there is none.

    Some programs append a tag without updating the size of the form.
    """
    size = file.seek(0, os.SEEK_END)
    found: list[_Chunk] = []
    while at + form.head.size <= size and len(found) < _MAX_TRAILING_CHUNKS:
        chunk = _chunk_at(form, file, at, size)
        if chunk.end > size or not chunk.name.isascii():
            break
        found.append(chunk)
        if chunk.name in form.tag_names and _body(file, chunk).startswith(b"ID3"):
            return found
        at = chunk.next
    return []


def _body(file: BinaryIO, chunk: _Chunk) -> bytes:
    file.seek(chunk.body)
    return file.read(chunk.end - chunk.body)


def _tag_chunk(form: _Form, chunks: list[_Chunk]) -> _Chunk | None:
    return next((chunk for chunk in chunks if chunk.name in form.tag_names), None)


def _read(form: _Form, file: BinaryIO) -> bytes:
    chunk = _tag_chunk(form, _chunks(form, file)[0])
    return _body(file, chunk) if chunk else b""


def _store(form: _Form, file: BinaryIO, tag: bytes) -> None:
    chunks, end = _chunks(form, file)
    chunk = _tag_chunk(form, chunks)
    if chunk is not None:
        start, stop, pad = chunk.start, chunk.next, b""
        name = chunk.name
    else:
        # Some programs omit the last pad byte.
        start, stop, pad = end, end, bytes(end % 2)
        name = form.tag_names[0]
    data = pad + form.head.pack(name, len(tag)) + tag + bytes(len(tag) % 2) if tag else b""
    length = max(end, stop) - form.head.size + len(data) - (stop - start)
    file.seek(0)
    file.write(form.head.pack(form.name, length))
    for audio in (chunk for chunk in chunks if chunk.name in form.audio_names):
        file.seek(audio.start)  # its size may have been too large
        file.write(form.head.pack(audio.name, audio.end - audio.body))
    splice(file, start, stop, data)


def _around(form: _Form, file: BinaryIO) -> object:
    """Return the other chunks (audio by its size) and trailing data."""
    chunks, end = _chunks(form, file)
    own = _tag_chunk(form, chunks)
    found: list[object] = []
    for chunk in chunks:
        if chunk.name in form.audio_names:
            found.append((chunk.name, chunk.end - chunk.body))
        elif chunk is not own:
            found.append((chunk.name, _body(file, chunk)))
    size = file.seek(0, os.SEEK_END)
    file.seek(end)
    return found, size - end, file.read(_REACH)


def _other_tags(form: _Form, file: BinaryIO) -> list[bytes]:
    """Return the tags in further chunks, after the form, and in the property list."""
    chunks, end = _chunks(form, file)
    further = [chunk for chunk in chunks if chunk.name in form.tag_names][1:]
    further += _up_to_tag(form, file, end)[-1:]
    listed = _inner_chunks(form, file, chunks, form.tag_list) if form.tag_list else []
    return [
        *(_body(file, chunk) for chunk in further),
        *(data for name, data in listed if name in form.tag_names),
    ]


def _texts(form: _Form, file: BinaryIO) -> list[Texts]:
    chunks, _ = _chunks(form, file)
    if form.text_list:
        return [form.texts(_inner_chunks(form, file, chunks, form.text_list))]
    small = (chunk for chunk in chunks if chunk.end - chunk.body <= _MAX_TEXT_BYTES)
    return [form.texts((chunk.name, _body(file, chunk)) for chunk in small)]


def _inner_chunks(
    form: _Form, file: BinaryIO, chunks: Iterable[_Chunk], wanted: tuple[bytes, bytes]
) -> Iterable[tuple[bytes, bytes]]:
    """Yield name and body of the chunks inside the `wanted` ones, given as name and first bytes."""
    name, kind = wanted
    for chunk in chunks:
        file.seek(chunk.body)
        if chunk.name == name and file.read(len(kind)) == kind:
            data, at = _body(file, chunk), len(kind)
            while at + form.head.size <= len(data):
                inner, length = form.head.unpack_from(data, at)
                at += form.head.size
                yield inner, data[at : at + length]
                at += length + length % 2


def _place(form: _Form) -> Place:
    return Place(
        read=partial(_read, form),
        store=partial(_store, form),
        around=partial(_around, form),
        others=partial(_other_tags, form),
        texts=partial(_texts, form),
    )


WAV = _place(
    _Form(
        name=b"RIFF",
        kinds=(b"WAVE",),
        head=struct.Struct("<4sI"),
        tag_names=(b"id3 ", b"ID3 "),
        audio_names=(b"data",),
        texts=from_info_chunks,
        text_list=(b"LIST", b"INFO"),
    )
)
AIFF = _place(
    _Form(
        name=b"FORM",
        kinds=(b"AIFF", b"AIFC"),
        head=struct.Struct(">4sI"),
        tag_names=(b"ID3 ",),
        audio_names=(b"SSND",),
        texts=from_aiff_chunks,
    )
)
DFF = _place(
    _Form(
        name=b"FRM8",
        kinds=(b"DSD ",),
        head=struct.Struct(">4sQ"),
        tag_names=(b"ID3 ",),
        audio_names=(b"DSD ", b"DST "),
        texts=from_diin_chunks,
        text_list=(b"DIIN", b""),
        tag_list=(b"PROP", b"SND "),
    )
)
