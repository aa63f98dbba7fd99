"""The front cover in APEv2 tags at the end of a file, which are handled as raw items.

Source: APEv2 specification (Hydrogenaudio wiki).
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import mutagen

from covergen.core.picture import Picture
from covergen.library.mutagen_errors import DAMAGE
from covergen.library.pictures.embedded import FRONT_COVER, EmbeddedPicture, Gone
from covergen.library.pictures.splice import outside, splice

__all__ = ["check", "edit", "kinds_at_end", "others", "pictures", "rest"]

# The names that Mp3tag, foobar2000 and TagLib use, in the order of ID3's picture types.
_NAMES = (
    "Other", "Icon", "Other Icon", "Front", "Back", "Leaflet", "Media", "Lead Artist", "Artist",
    "Conductor", "Band", "Composer", "Lyricist", "Recording Location", "During Recording",
    "During Performance", "Video Capture", "Fish", "Illustration", "Band Logotype",
    "Publisher Logotype",
)  # fmt: skip
_KINDS = {f"cover art ({name.lower()})": kind for kind, name in enumerate(_NAMES)}
_FRONT = b"Cover Art (Front)"

_FRAME = struct.Struct("<8sIIII8x")  # header and footer: magic, version, size, items, flags
_MAGIC = b"APETAGEX"
_VERSION = 2000
_HAS_HEADER, _IS_HEADER = 1 << 31, 1 << 29
_BINARY = 1 << 1
_ID3V1_BYTES = 128


@dataclass(frozen=True, slots=True)
class _Tag:
    """The raw items, and where the tag lies in the file; no bytes where there is none."""

    items: tuple[bytes, ...]
    start: int
    end: int


def pictures(file: mutagen.FileType) -> list[EmbeddedPicture]:
    """The binary `Cover Art (…)` items: file name, NUL, image. They have no order; fronts first."""
    found = []
    for name, item in (file.tags or {}).items():
        kind = _KINDS.get(name.lower())
        data = item.value.partition(b"\0")[2] if isinstance(item.value, bytes) else b""
        if kind is not None and data:
            found.append(EmbeddedPicture(data, kind))
    return sorted(found, key=lambda picture: picture.kind != FRONT_COVER)


def others(file: mutagen.FileType) -> object:
    """Every item but pictures, as mutagen reads it."""
    items = (file.tags or {}).items()
    return {name: (item.kind, item.value) for name, item in items if name.lower() not in _KINDS}


def edit(path: Path, gone: Gone, new: Picture | None) -> str:
    """Take pictures out; make `new` the front cover. An ID3v1 tag behind stays where it is."""
    with path.open("r+b") as file:
        tag = _read(file)
        # Small items first, as the specification recommends.
        items = [*_without(tag, gone), *([_front_cover(new)] if new else [])]
        splice(file, tag.start, tag.end, _join(items) if items else b"")
    return ""


def kinds_at_end(file: BinaryIO) -> list[int]:
    """The types of the pictures in the APEv2 tag at the end of an open file, none without one."""
    try:
        items = _read(file).items
    except DAMAGE:
        return []
    names = [_name(item) for item in items]
    return [_KINDS[name] for name in names if name in _KINDS]


def check(file: BinaryIO) -> None:
    """Raise ValueError or struct.error where `edit` could not begin."""
    _read(file)


def rest(path: Path, gone: Gone) -> object:
    """All raw items but the pictures that go, and what lies around the tag."""
    with path.open("rb") as file:
        tag = _read(file)
        return _without(tag, gone), outside(file, tag.start, tag.end)


def _read(file: BinaryIO) -> _Tag:
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _ID3V1_BYTES))
    if file.read(3) == b"TAG":
        end -= _ID3V1_BYTES
    if end < _FRAME.size:
        return _Tag((), end, end)
    file.seek(end - _FRAME.size)
    magic, version, size, count, flags = _FRAME.unpack(file.read(_FRAME.size))
    if magic != _MAGIC:
        return _Tag((), end, end)
    body = end - size
    start = body - _FRAME.size if flags & _HAS_HEADER else body
    if start < 0 or size < _FRAME.size:
        raise ValueError("its APE tag has a wrong size")
    file.seek(body)
    data = file.read(size - _FRAME.size)
    if version < _VERSION and not data.isascii():
        raise ValueError("its tag is an old APEv1, which is not UTF-8")
    return _Tag(_split(data, count), start, end)


def _split(data: bytes, count: int) -> tuple[bytes, ...]:
    items, at = [], 0
    for _ in range(count):
        if at == len(data):  # some programs count one too many
            break
        (size,) = struct.unpack_from("<I", data, at)
        end = data.index(b"\0", at + 8) + 1 + size
        items.append(data[at:end])
        at = end
    if at != len(data):
        raise ValueError("the items of its APE tag do not fill it")
    return tuple(items)


def _without(tag: _Tag, gone: Gone) -> list[bytes]:
    return [item for item in tag.items if not _is_gone(item, gone)]


def _is_gone(item: bytes, gone: Gone) -> bool:
    kind = _KINDS.get(_name(item))
    value = item[8:].partition(b"\0")[2]
    return kind is not None and gone(EmbeddedPicture(value.partition(b"\0")[2], kind))


def _front_cover(picture: Picture) -> bytes:
    value = b"cover" + picture.extension.encode() + b"\0" + picture.data
    return struct.pack("<II", len(value), _BINARY) + _FRONT + b"\0" + value


def _name(item: bytes) -> str:
    return item[8:].partition(b"\0")[0].lower().decode("ascii", "replace")


def _join(items: list[bytes]) -> bytes:
    body = b"".join(items)
    size = len(body) + _FRAME.size
    header = _FRAME.pack(_MAGIC, _VERSION, size, len(items), _HAS_HEADER | _IS_HEADER)
    return header + body + _FRAME.pack(_MAGIC, _VERSION, size, len(items), _HAS_HEADER)
