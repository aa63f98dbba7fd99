"""The front cover in APEv2 tags at the end of a file, which are handled as raw items.

Source: APEv2 specification (Hydrogenaudio wiki).
"""

import io
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import mutagen
from mutagen.apev2 import APEv2

from covergen.core.picture import Picture
from covergen.library.mutagen_errors import DAMAGE
from covergen.library.pictures.embedded import FRONT_COVER, EmbeddedPicture, Gone
from covergen.library.pictures.splice import outside, splice
from covergen.library.pictures.texts import (
    ID3V1_BYTES,
    Texts,
    carried,
    from_apev2_items,
    from_id3v1,
)

__all__ = [
    "begin",
    "check",
    "edit",
    "ends",
    "others",
    "pictures",
    "pictures_at_end",
    "rest",
    "texts_at_end",
]

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

_NAMES_OF_TEXTS = {
    "TIT2": b"Title",
    "TPE1": b"Artist",
    "TALB": b"Album",
    "TDRC": b"Year",
    "TRCK": b"Track",
    "TCON": b"Genre",
    "COMM": b"Comment",
}


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


def begin(file: mutagen.FileType, path: Path) -> None:
    """Give an opened file without items the texts that go into a new tag with its cover."""
    with path.open("rb") as raw:
        items = _begun(raw, _read(raw))[0]
    if items and not file.tags:
        file.tags = APEv2(io.BytesIO(_join(items)))


def edit(path: Path, gone: Gone, new: Picture | None) -> str:
    """Take pictures out; make `new` the front cover. An ID3v1 tag behind stays where it is.

    A new tag repeats what ID3v1 says, since players then read no ID3v1. Returns a note, or "".
    """
    with path.open("r+b") as file:
        tag = _read(file)
        items, note = _begun(file, tag) if new else (tag.items, "")
        # Small items first, as the specification recommends.
        items = (*_without(items, gone), *((_front_cover(new),) if new else ()))
        splice(file, tag.start, tag.end, _join(items) if items else b"")
    return note


def pictures_at_end(file: BinaryIO) -> list[EmbeddedPicture]:
    """The pictures in the APEv2 tag at the end of a file of another kind, none without one."""
    return [found for item in _whole(file).items if (found := _picture(item))]


def check(file: BinaryIO) -> None:
    """Raise ValueError or struct.error where `edit` could not begin."""
    _read(file)


def texts_at_end(file: BinaryIO) -> list[Texts]:
    """What an APEv2 tag and an ID3v1 tag at the end of a file say, as far as they are there."""
    items = _whole(file).items
    found = [from_apev2_items(items) if items else None, _id3v1(file)]
    return [texts for texts in found if texts]


def ends(file: BinaryIO) -> list[int]:
    """Where a tag of another kind may end: with the file, or before those at its end."""
    size = file.seek(0, os.SEEK_END)
    tag = _whole(file)
    return sorted({size, tag.end, tag.start}, reverse=True)


def rest(path: Path, gone: Gone, *, begun: bool) -> object:
    """All raw items but the pictures that go, and what lies around the tag.

    `begun`: also the texts that a new tag begins with.
    """
    with path.open("rb") as file:
        tag = _read(file)
        items = _begun(file, tag)[0] if begun else tag.items
        return _without(items, gone), outside(file, tag.start, tag.end)


def _begun(file: BinaryIO, tag: _Tag) -> tuple[tuple[bytes, ...], str]:
    """The items that a cover joins, and what has to be said of them."""
    texts = _id3v1(file)
    if tag.items or texts is None or not carried([texts]):
        return tag.items, ""
    items = tuple(
        _item(_NAMES_OF_TEXTS[key], value.encode()) for key, (value,) in texts.values.items()
    )
    return items, "its ID3v1 texts were copied into a new APEv2 tag"


def _id3v1(file: BinaryIO) -> Texts | None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - ID3V1_BYTES))
    return from_id3v1(file.read(ID3V1_BYTES))


def _whole(file: BinaryIO) -> _Tag:
    """The tag at the end, an empty one where that is damaged or not there."""
    try:
        return _read(file)
    except DAMAGE:
        end = file.seek(0, os.SEEK_END)
        return _Tag((), end, end)


def _read(file: BinaryIO) -> _Tag:
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - ID3V1_BYTES))
    if file.read(3) == b"TAG":
        end -= ID3V1_BYTES
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


def _without(items: Iterable[bytes], gone: Gone) -> list[bytes]:
    return [item for item in items if not _is_gone(item, gone)]


def _is_gone(item: bytes, gone: Gone) -> bool:
    picture = _picture(item)
    return picture is not None and gone(picture)


def _picture(item: bytes) -> EmbeddedPicture | None:
    """The image behind the name of its file; no bytes where there is none."""
    kind = _KINDS.get(_name(item))
    value = item[8:].partition(b"\0")[2]
    return None if kind is None else EmbeddedPicture(value.partition(b"\0")[2], kind)


def _front_cover(picture: Picture) -> bytes:
    value = b"cover" + picture.extension.encode() + b"\0" + picture.data
    return _item(_FRONT, value, _BINARY)


def _item(name: bytes, value: bytes, flags: int = 0) -> bytes:
    return struct.pack("<II", len(value), flags) + name + b"\0" + value


def _name(item: bytes) -> str:
    return item[8:].partition(b"\0")[0].lower().decode("ascii", "replace")


def _join(items: Sequence[bytes]) -> bytes:
    body = b"".join(items)
    size = len(body) + _FRAME.size
    header = _FRAME.pack(_MAGIC, _VERSION, size, len(items), _HAS_HEADER | _IS_HEADER)
    return header + body + _FRAME.pack(_MAGIC, _VERSION, size, len(items), _HAS_HEADER)
