"""Pictures in APEv2 tags at the end of a file. Items are edited as raw bytes.

Source: APEv2 specification (Hydrogenaudio wiki).
"""

import io
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import mutagen
from mutagen.apev2 import APEv2
from mutagen.wavpack import WavPack, WavPackInfo

from covergen.core.picture import Picture
from covergen.library.formats import keys
from covergen.library.formats.embedded_picture import (
    FRONT_COVER,
    EmbeddedPicture,
    PictureFilter,
    is_kept,
)
from covergen.library.formats.splice import outside, splice
from covergen.library.formats.tag_format import TagFormat
from covergen.library.formats.texts_for_id3 import (
    ID3V1_BYTES,
    Texts,
    from_apev2_items,
    from_id3v1,
    texts_to_repeat,
)
from covergen.library.mutagen_errors import DAMAGE

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
    """The raw items, and the tag's position in the file; start equals end if there is no tag."""

    items: tuple[bytes, ...]
    start: int
    end: int


class _WavPackInfo(WavPackInfo):  # type: ignore[misc]  # mutagen is untyped
    def __init__(self, file: BinaryIO) -> None:
        try:
            super().__init__(file)
        except IndexError:  # a non-standard rate, stored in a separate block
            self.length = 0.0


class WavPackFile(WavPack):  # type: ignore[misc]  # mutagen is untyped
    """mutagen's WavPack, with length 0 instead of an error if the sample rate is non-standard."""

    _Info = _WavPackInfo


def pictures(file: mutagen.FileType) -> list[EmbeddedPicture]:
    """The binary `Cover Art (…)` items: file name, NUL, image. Unordered, so front covers first."""
    found = []
    for name, item in (file.tags or {}).items():
        kind = _KINDS.get(name.lower())
        data = item.value.partition(b"\0")[2] if isinstance(item.value, bytes) else b""
        if kind is not None and data:
            found.append(EmbeddedPicture(data, kind))
    return sorted(found, key=lambda picture: picture.kind != FRONT_COVER)


def others(file: mutagen.FileType) -> object:
    """All items except pictures, as mutagen reads them."""
    items = (file.tags or {}).items()
    return {name: (item.kind, item.value) for name, item in items if name.lower() not in _KINDS}


def prefill(opened: mutagen.FileType, file: BinaryIO) -> None:
    """Add the texts that a new tag repeats to an opened file without items."""
    items, _ = _prefilled(file, _read(file))
    if items and not opened.tags:
        opened.tags = APEv2(io.BytesIO(_join(items)))


def edit(file: BinaryIO, should_remove: PictureFilter, new: Picture | None) -> str:
    """Remove pictures and add `new` as front cover. An ID3v1 tag after the APEv2 tag stays.

    A new tag repeats the texts of ID3v1, which players then ignore. Returns a note, or "".
    """
    tag = _read(file)
    items, note = _prefilled(file, tag) if new else (tag.items, "")
    kept = _without(items, should_remove)
    if new:
        # After the texts, since the specification recommends small items first, but before other
        # pictures: FFmpeg and mpd show the first.
        pictures = (at for at, item in enumerate(kept) if _picture(item))
        kept.insert(next(pictures, len(kept)), _front_cover(new))
    splice(file, tag.start, tag.end, _join(kept) if kept else b"")
    return note


def pictures_at_end(file: BinaryIO) -> list[EmbeddedPicture]:
    """The pictures in an APEv2 tag at the end of a file of another format."""
    return [found for item in _read_or_empty(file).items if (found := _picture(item))]


def texts_at_end(file: BinaryIO) -> list[Texts]:
    """The texts of an APEv2 tag and an ID3v1 tag at the end of a file, if any."""
    items = _read_or_empty(file).items
    found = [from_apev2_items(items) if items else None, _id3v1(file)]
    return [texts for texts in found if texts]


def ends(file: BinaryIO) -> list[int]:
    """The offsets where another tag may end: the file's end, and before the tags at its end."""
    size = file.seek(0, os.SEEK_END)
    tag = _read_or_empty(file)
    return sorted({size, tag.end, tag.start}, reverse=True)


def rest(file: BinaryIO, should_remove: PictureFilter, *, prefilled: bool = False) -> object:
    """All raw items except removed pictures, and the bytes around the tag.

    `prefilled`: include the texts that a new tag repeats.
    """
    tag = _read(file)
    items = _prefilled(file, tag)[0] if prefilled else tag.items
    return _without(items, should_remove), outside(file, tag.start, tag.end)


def _prefilled(file: BinaryIO, tag: _Tag) -> tuple[tuple[bytes, ...], str]:
    """The items to which a cover is added, and a note about them."""
    texts = _id3v1(file)
    if tag.items or texts is None or not texts_to_repeat([texts]):
        return tag.items, ""
    items = tuple(
        _item(_NAMES_OF_TEXTS[key], value.encode()) for key, (value,) in texts.values.items()
    )
    return items, "copied the ID3v1 texts into a new APEv2 tag"


def _id3v1(file: BinaryIO) -> Texts | None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - ID3V1_BYTES))
    return from_id3v1(file.read(ID3V1_BYTES))


def _read_or_empty(file: BinaryIO) -> _Tag:
    """The tag at the end; an empty one if it is damaged or missing."""
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
        raise ValueError("the APE tag has a wrong size")
    file.seek(body)
    data = file.read(size - _FRAME.size)
    if version < _VERSION and not data.isascii():
        raise ValueError("the tag is APEv1, which is not UTF-8")
    return _Tag(_split(data, count), start, end)


def _split(data: bytes, count: int) -> tuple[bytes, ...]:
    items, at = [], 0
    for _ in range(count):
        if at == len(data):  # some programs count one item too many
            break
        (size,) = struct.unpack_from("<I", data, at)
        end = data.index(b"\0", at + 8) + 1 + size
        items.append(data[at:end])
        at = end
    if at != len(data):
        raise ValueError("the items of the APE tag do not fill it")
    return tuple(items)


def _without(items: Iterable[bytes], should_remove: PictureFilter) -> list[bytes]:
    return [item for item in items if is_kept(_picture(item), should_remove)]


def _picture(item: bytes) -> EmbeddedPicture | None:
    """The image after the file name, possibly empty; None if the item is not a picture."""
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


TAGS = TagFormat(
    keys=keys.APEV2,
    pictures=pictures,
    others=others,
    edit=edit,
    rest=rest,
    check=_read,
    texts=texts_at_end,
    prefill=prefill,
)
