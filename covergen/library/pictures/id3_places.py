"""Locate and replace the ID3v2 tag in each container that has one."""

import os
import re
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO, NamedTuple

from covergen.library.pictures import apev2
from covergen.library.pictures.embedded import EmbeddedPicture
from covergen.library.pictures.id3_header import from_synchsafe, id3_size
from covergen.library.pictures.splice import outside, splice
from covergen.library.pictures.texts import (
    Texts,
    from_aiff_chunks,
    from_diin_chunks,
    from_info_chunks,
)

__all__ = ["AIFF", "DFF", "DSF", "MP3", "START", "WAV", "Chunk", "Place", "body_of", "chunks_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Functions to access the ID3v2 tag of a container.

    `read` returns the tag's bytes, or b"" without one; `store` replaces them (b"" removes the tag).
    `around` returns the other content of the file, as far as it is cheap to read. `others` returns
    the bytes of ID3v2 tags in other places where some players look; `texts` and `pictures` return
    the content of other kinds of tags; all in order of precedence. They raise ValueError or
    struct.error if the file is damaged.
    """

    read: Callable[[BinaryIO], bytes]
    store: Callable[[BinaryIO, bytes], None]
    around: Callable[[BinaryIO], object]
    others: Callable[[BinaryIO], list[bytes]] = lambda _: []
    texts: Callable[[BinaryIO], list[Texts]] = lambda _: []
    pictures: Callable[[BinaryIO], list[EmbeddedPicture]] = lambda _: []


def _tag_at(file: BinaryIO, offset: int) -> bytes:
    file.seek(offset)
    size = id3_size(file.read(10))
    file.seek(offset)
    data = file.read(size)
    if len(data) < size:
        raise ValueError("the ID3 tag runs past the end of the file")
    return data


# MP3 and TTA: at the start. ID3v1 or APEv2 tags at the end are not touched. Some FLAC files have
# ID3v2 tags too, which are only read. Tags may also be stacked, or be at the end of the file.
# Source: ID3v2.4.0 structure, section 5.

_MAX_TAGS = 8
_PLAUSIBLE_HEADER = re.compile(rb"ID3[\x02-\x04][^\xff].[\0-\x7f]{4}", re.DOTALL)
_GARBAGE_BYTES = 64 << 10
_FOOTER_BYTES = 10


def _store_at_start(file: BinaryIO, tag: bytes) -> None:
    splice(file, 0, len(_tag_at(file, 0)), tag)


def _other_tags(file: BinaryIO) -> list[bytes]:
    """The tags stacked after the first one, then those at the end."""
    return _tags_from(file, _first_tag_bytes(file))


def _other_tags_of_mp3(file: BinaryIO) -> list[bytes]:
    """Like `_other_tags`, but the first tag may follow garbage, which MP3 players skip."""
    return _tags_from(file, _first_tag_bytes(file) or _garbage_before_tag(file))


def _first_tag_bytes(file: BinaryIO) -> int:
    """The size of the tag at the start according to its header, 0 if there is none."""
    file.seek(0)
    return id3_size(file.read(10))


def _tags_from(file: BinaryIO, at: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < _MAX_TAGS and (tag := _whole_tag_at(file, at)):
        found.append(tag)
        at += len(tag)
    return found + [tag for end in apev2.ends(file) if (tag := _tag_before(file, end, at))]


def _garbage_before_tag(file: BinaryIO) -> int:
    """The number of bytes before the first tag that are not MPEG frames."""
    file.seek(0)
    head = file.read(2)
    if head[:1] == b"\xff" and head[1:] >= b"\xe0":
        return 0
    found = _PLAUSIBLE_HEADER.search(head + file.read(_GARBAGE_BYTES))
    return found.start() if found else 0


def _whole_tag_at(file: BinaryIO, offset: int) -> bytes:
    with suppress(ValueError):
        return _tag_at(file, offset)
    return b""


def _tag_before(file: BinaryIO, end: int, minimum: int) -> bytes:
    """The tag whose footer ends at `end`; b"" if there is none or it starts before `minimum`."""
    file.seek(max(0, end - _FOOTER_BYTES))
    footer = file.read(_FOOTER_BYTES)
    start = end - 2 * _FOOTER_BYTES - from_synchsafe(footer[6:])
    return _whole_tag_at(file, start) if footer[:3] == b"3DI" and minimum <= start < end else b""


START = Place(
    read=partial(_tag_at, offset=0),
    store=_store_at_start,
    around=lambda file: outside(file, 0, len(_tag_at(file, 0))),
    others=_other_tags,
    texts=apev2.texts_at_end,
    pictures=apev2.pictures_at_end,
)
MP3 = replace(START, others=_other_tags_of_mp3)


# DSF: at the end; the header contains its offset. Source: DSF File Format Specification 1.01.

_DSF_HEADER = struct.Struct("<4sQQQ")
_DSF_DATA = 28 + 52  # after the header and the format chunk, which have fixed sizes


def _dsf_tag(file: BinaryIO) -> tuple[int, bytes]:
    """The offset of the tag, or of a new one, and its bytes."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    magic, _, _, pointer = _DSF_HEADER.unpack(file.read(_DSF_HEADER.size))
    if magic != b"DSD " or pointer > size:
        raise ValueError("the DSF header is damaged")
    file.seek(_DSF_DATA)
    (data_size,) = struct.unpack("<4xQ", file.read(12))
    if _DSF_DATA + data_size > size:
        raise ValueError("the end of the file is missing")
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


# WAV, AIFF, DFF: in a chunk. Sources: EA IFF 85, RIFF 1991, DSDIFF 1.5.

_MAX_TRAILING_CHUNKS = 16
_MAX_TEXT_BYTES = 64 << 10


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


class Chunk(NamedTuple):
    """A chunk's name, and the offsets of its start, its body, the body's end and the next chunk."""

    name: bytes
    start: int
    body: int
    end: int
    next: int


def _chunks(form: _Form, file: BinaryIO) -> tuple[list[Chunk], int]:
    """Return all chunks and the end of the form, including a tag that its size omits.

    An audio chunk that runs past the end of the file is cut off there: the file was written to a
    pipe, before its length was known, or is truncated.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    name, length = form.head.unpack(file.read(form.head.size))
    end = min(form.head.size + length, size)
    if name != form.name or file.read(4) not in form.kinds:
        raise ValueError(f"the {form.name.decode()} header is damaged")
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


def _chunk_at(form: _Form, file: BinaryIO, at: int, size: int) -> Chunk:
    file.seek(at)
    name, length = form.head.unpack(file.read(form.head.size))
    body = at + form.head.size
    return Chunk(name, at, body, body + length, min(body + length + length % 2, size))


def _up_to_tag(form: _Form, file: BinaryIO, at: int) -> list[Chunk]:
    """Return the chunks after the end of the form up to one with a tag; [] if there is none.

    Some programs append a tag without updating the size of the form.
    """
    size = file.seek(0, os.SEEK_END)
    found: list[Chunk] = []
    while at + form.head.size <= size and len(found) < _MAX_TRAILING_CHUNKS:
        chunk = _chunk_at(form, file, at, size)
        if chunk.end > size or not chunk.name.isascii():
            break
        found.append(chunk)
        if chunk.name in form.tag_names and body_of(file, chunk).startswith(b"ID3"):
            return found
        at = chunk.next
    return []


def body_of(file: BinaryIO, chunk: Chunk) -> bytes:
    """Read the body of a chunk."""
    file.seek(chunk.body)
    return file.read(chunk.end - chunk.body)


def _tag_chunk(form: _Form, chunks: list[Chunk]) -> Chunk | None:
    return next((chunk for chunk in chunks if chunk.name in form.tag_names), None)


def _read_chunk(form: _Form, file: BinaryIO) -> bytes:
    chunk = _tag_chunk(form, _chunks(form, file)[0])
    return body_of(file, chunk) if chunk else b""


def _store_chunk(form: _Form, file: BinaryIO, tag: bytes) -> None:
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
    header = form.head.pack(form.name, length)
    for audio in (chunk for chunk in chunks if chunk.name in form.audio_names):
        file.seek(audio.start)  # its size may have been too large
        file.write(form.head.pack(audio.name, audio.end - audio.body))
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
            found.append((chunk.name, body_of(file, chunk)))
    size = file.seek(0, os.SEEK_END)
    file.seek(end)
    return found, size - end, file.read(64 << 10)


def _other_chunks(form: _Form, file: BinaryIO) -> list[bytes]:
    """The tags in further chunks, after the form, and in the property list."""
    chunks, end = _chunks(form, file)
    further = [chunk for chunk in chunks if chunk.name in form.tag_names][1:]
    further += _up_to_tag(form, file, end)[-1:]
    listed = chunks_in(form.head, file, chunks, form.tag_list) if form.tag_list else []
    return [
        *(body_of(file, chunk) for chunk in further),
        *(data for name, data in listed if name in form.tag_names),
    ]


def _chunk_texts(form: _Form, file: BinaryIO) -> list[Texts]:
    chunks, _ = _chunks(form, file)
    if form.text_list:
        return [form.texts(chunks_in(form.head, file, chunks, form.text_list))]
    small = (chunk for chunk in chunks if chunk.end - chunk.body <= _MAX_TEXT_BYTES)
    return [form.texts((chunk.name, body_of(file, chunk)) for chunk in small)]


def chunks_in(
    head: struct.Struct, file: BinaryIO, chunks: Iterable[Chunk], wanted: tuple[bytes, bytes]
) -> Iterable[tuple[bytes, bytes]]:
    """Yield name and body of the chunks inside the `wanted` ones, given as name and first bytes."""
    name, kind = wanted
    for chunk in chunks:
        file.seek(chunk.body)
        if chunk.name == name and file.read(len(kind)) == kind:
            data, at = body_of(file, chunk), len(kind)
            while at + head.size <= len(data):
                inner, length = head.unpack_from(data, at)
                at += head.size
                yield inner, data[at : at + length]
                at += length + length % 2


def _in_chunk(form: _Form) -> Place:
    return Place(
        read=partial(_read_chunk, form),
        store=partial(_store_chunk, form),
        around=partial(_around_chunk, form),
        others=partial(_other_chunks, form),
        texts=partial(_chunk_texts, form),
    )


WAV = _in_chunk(
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
AIFF = _in_chunk(
    _Form(
        name=b"FORM",
        kinds=(b"AIFF", b"AIFC"),
        head=struct.Struct(">4sI"),
        tag_names=(b"ID3 ",),
        audio_names=(b"SSND",),
        texts=from_aiff_chunks,
    )
)
DFF = _in_chunk(
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
