"""Locate and replace the ID3v2 tag in MP3, TTA, FLAC and DSF files.

WAV, AIFF and DFF have it in a chunk: see `chunks`.
"""

import os
import re
import struct
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import BinaryIO

from covergen.library.formats import apev2
from covergen.library.formats.splice import outside, splice
from covergen.library.formats.tag_format import Place


def from_synchsafe(data: bytes) -> int:
    """Decode an integer with 7 bits per byte; -1 if the highest bit of any byte is set."""
    if any(byte & 0x80 for byte in data):
        return -1
    return sum(byte << 7 * i for i, byte in enumerate(reversed(data)))


def to_synchsafe(number: int) -> bytes:
    """Encode a number below 2^28 with 7 bits in each of 4 bytes."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3_size(header: bytes) -> int:
    """Return the total size of the ID3v2 tag with this 10-byte header, 0 if it is not one.

    Raises ValueError if the size is not synchsafe.
    """
    if header[:3] != b"ID3" or len(header) < 10:
        return 0
    size = from_synchsafe(header[6:10])
    if size < 0:
        raise ValueError("the size of the ID3 tag is damaged")
    has_footer = header[3] == 4 and header[5] & 0x10
    return 10 + size + (10 if has_footer else 0)


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
