"""Pictures in ASF (Windows Media) files. Attributes are edited as raw records.

Source: Advanced Systems Format Specification 01.20.05, sections 3.2, 3.4, 3.11, 4.7, 4.8.
"""

import os
import struct
from typing import BinaryIO, NamedTuple
from uuid import UUID

import mutagen

from covergen.core.picture import Picture
from covergen.library.formats import keys
from covergen.library.formats.embedded_picture import (
    FRONT_COVER,
    LINK,
    EmbeddedPicture,
    PictureFilter,
    is_kept,
)
from covergen.library.formats.splice import outside, padding, splice
from covergen.library.formats.tag_format import TagFormat

MAGIC = _HEADER = UUID("75B22630-668E-11CF-A6D9-00AA0062CE6C").bytes_le
"""The first bytes of a file."""

_FILE_PROPERTIES = UUID("8CABDCA1-A947-11CF-8EE4-00C00C205365").bytes_le
_EXTENSION = UUID("5FBF03B5-A92E-11CF-8EE3-00C00C205365").bytes_le
_DESCRIPTION = UUID("D2D0A440-E307-11D2-97F0-00A0C95EA850").bytes_le
_METADATA = UUID("C5F8CBEA-5BAF-4877-8467-AA8C44FA4CCA").bytes_le
_LIBRARY = UUID("44231C94-9498-49D1-A141-1D134E457054").bytes_le
_LISTS = (_DESCRIPTION, _METADATA, _LIBRARY)
_PADDING = UUID("1806D474-CADF-4509-A4BA-9AABCB96AAE8").bytes_le

_TOP = struct.Struct("<16sQI2s")
_HEAD = struct.Struct("<16sQ")
_EXTENSION_HEAD = 18  # a GUID and a number, both constant; then the length of the data
_BYTES = 1  # an attribute's type
_PICTURE = "WM/Picture"


class _Object(NamedTuple):
    """A header object: its GUID and its data."""

    guid: bytes
    data: bytes


class _Record(NamedTuple):
    """An attribute: its name, its value, and all its bytes."""

    name: str
    value: bytes
    raw: bytes


def pictures(file: mutagen.FileType) -> list[EmbeddedPicture]:
    """The undamaged WM/Picture attributes. They are unordered, so front covers come first."""
    values = [value.value for name, value in file.tags or () if name == _PICTURE]
    found = [_parse_picture(value) for value in values if isinstance(value, bytes)]
    whole = [picture for picture in found if picture is not None]
    return sorted(whole, key=lambda picture: picture.kind != FRONT_COVER)


def others(file: mutagen.FileType) -> object:
    """All attributes except pictures, as mutagen reads them."""
    return [(name, repr(value)) for name, value in file.tags or () if name != _PICTURE]


def edit(file: BinaryIO, should_remove: PictureFilter, new: Picture | None) -> str:
    """Remove pictures and add `new` as front cover."""
    objects, size = _read(file)
    kept = [_without(item, should_remove) for item in objects]
    trailing_bytes = file.seek(0, os.SEEK_END) - size
    edited = _with_record(kept, _front_cover(new)) if new else kept
    splice(file, 0, size, _join(edited, size, trailing_bytes))
    return ""


def rest(file: BinaryIO, should_remove: PictureFilter) -> object:
    """All raw header objects except removed pictures and padding, and what follows the header."""
    objects, size = _read(file)
    return _comparable(objects, should_remove), outside(file, 0, size)


def _read(file: BinaryIO) -> tuple[list[_Object], int]:
    """The header's objects and its size."""
    file_size = file.seek(0, os.SEEK_END)
    file.seek(0)
    guid, size, _, _ = _TOP.unpack(file.read(_TOP.size))
    if guid != _HEADER or not _TOP.size <= size <= file_size:
        raise ValueError("the header is damaged")
    return _objects(file.read(size - _TOP.size)), size


def _objects(data: bytes) -> list[_Object]:
    objects, at = [], 0
    while at < len(data):
        guid, size = _HEAD.unpack_from(data, at)
        if not _HEAD.size <= size <= len(data) - at:
            raise ValueError("a header object has a wrong size")
        objects.append(_Object(guid, data[at + _HEAD.size : at + size]))
        at += size
    return objects


def _join_objects(objects: list[_Object]) -> bytes:
    return b"".join(_HEAD.pack(o.guid, _HEAD.size + len(o.data)) + o.data for o in objects)


def _join(objects: list[_Object], available: int, trailing_bytes: int) -> bytes:
    """The whole header, padded, with the new file size in it."""
    objects = [item for item in objects if item.guid != _PADDING]
    needed = _TOP.size + len(_join_objects(objects))
    room = padding(available - needed, minimum=_HEAD.size)
    if room:
        objects.append(_Object(_PADDING, bytes(room - _HEAD.size)))
    size = needed + room
    body = _join_objects([_resized(item, size + trailing_bytes) for item in objects])
    return _TOP.pack(_HEADER, size, len(objects), b"\x01\x02") + body


def _resized(item: _Object, file_size: int) -> _Object:
    # A broadcast has zeros instead of a size.
    if item.guid != _FILE_PROPERTIES or item.data[16:24] == bytes(8):
        return item
    return item._replace(data=item.data[:16] + struct.pack("<Q", file_size) + item.data[24:])


def _comparable(objects: list[_Object], should_remove: PictureFilter) -> list[object]:
    """The objects without what an edit changes: pictures, lists made for them, the file size.

    The lists come last, since an edit may move them.
    """
    found: list[object] = []
    lists: list[object] = []
    for item in objects:
        if item.guid == _EXTENSION:
            inner = _comparable(_extension_objects(item), should_remove)
            found.append((item.data[:_EXTENSION_HEAD], inner))
        elif item.guid in _LISTS:
            kept = [record.raw for record in _records(item) if _is_kept(record, should_remove)]
            lists += [(item.guid, kept)] if kept else []
        elif item.guid == _FILE_PROPERTIES:
            found.append((item.data[:16], item.data[24:]))
        elif item.guid != _PADDING:
            found.append(item)
    return [*found, *lists]


def _extension_objects(item: _Object) -> list[_Object]:
    return _objects(item.data[_EXTENSION_HEAD + 4 :])


def _extension_of(item: _Object, objects: list[_Object]) -> _Object:
    data = _join_objects(objects)
    return item._replace(data=item.data[:_EXTENSION_HEAD] + struct.pack("<I", len(data)) + data)


def _without(item: _Object, should_remove: PictureFilter) -> _Object:
    if item.guid == _EXTENSION:
        return _extension_of(
            item, [_without(inner, should_remove) for inner in _extension_objects(item)]
        )
    if item.guid not in _LISTS:
        return item
    records = _records(item)
    kept = [record.raw for record in records if _is_kept(record, should_remove)]
    return item if len(kept) == len(records) else _list_of(item.guid, kept)


def _records(item: _Object) -> list[_Record]:
    (count,) = struct.unpack_from("<H", item.data)
    records, at = [], 2
    for _ in range(count):
        start = at
        if item.guid == _DESCRIPTION:
            (name_size,) = struct.unpack_from("<H", item.data, at)
            at += 2 + name_size
            name = item.data[start + 2 : at]
            _, size = struct.unpack_from("<HH", item.data, at)
            at += 4
        else:
            _, _, name_size, _, size = struct.unpack_from("<HHHHI", item.data, at)
            at += 12 + name_size
            name = item.data[start + 12 : at]
        value = item.data[at : at + size]
        at += size
        if at > len(item.data):
            raise ValueError("an attribute runs past the end of its list")
        text = name.decode("utf-16-le", "replace").rstrip("\0")
        records.append(_Record(text, value, item.data[start:at]))
    return records


def _list_of(guid: bytes, records: list[bytes]) -> _Object:
    return _Object(guid, struct.pack("<H", len(records)) + b"".join(records))


def _is_kept(record: _Record, should_remove: PictureFilter) -> bool:
    picture = _parse_picture(record.value) if record.name == _PICTURE else None
    return is_kept(picture, should_remove)


def _front_cover(picture: Picture) -> bytes:
    """The value that `_parse_picture` reads."""
    mime, empty = picture.mime.encode("utf-16-le") + b"\0\0", b"\0\0"
    return struct.pack("<BI", FRONT_COVER, len(picture.data)) + mime + empty + picture.data


def _with_record(objects: list[_Object], value: bytes) -> list[_Object]:
    """Add the picture as the first record of the list that can hold its size."""
    name = (_PICTURE + "\0").encode("utf-16-le")
    if len(value) <= 0xFFFF:
        raw = struct.pack("<H", len(name)) + name + struct.pack("<HH", _BYTES, len(value)) + value
        return _before_other_pictures(_with_first(objects, _DESCRIPTION, raw))
    raw = struct.pack("<HHHHI", 0, 0, len(name), _BYTES, len(value)) + name + value
    if not any(item.guid == _EXTENSION for item in objects):
        raise ValueError("there is no header extension")
    return [
        _extension_of(item, _with_first(_extension_objects(item), _LIBRARY, raw))
        if item.guid == _EXTENSION
        else item
        for item in objects
    ]


def _before_other_pictures(objects: list[_Object]) -> list[_Object]:
    """Move the list before a header extension with pictures: FFmpeg and mpd show the first."""
    if not any(item.guid == _EXTENSION and _has_pictures(item) for item in objects):
        return objects
    lists = [item for item in objects if item.guid == _DESCRIPTION]
    rest = [item for item in objects if item.guid != _DESCRIPTION]
    at = next(at for at, item in enumerate(rest) if item.guid == _EXTENSION)
    return [*rest[:at], *lists, *rest[at:]]


def _has_pictures(extension: _Object) -> bool:
    lists = (item for item in _extension_objects(extension) if item.guid in _LISTS)
    return any(record.name == _PICTURE for item in lists for record in _records(item))


def _with_first(objects: list[_Object], guid: bytes, raw: bytes) -> list[_Object]:
    if not any(item.guid == guid for item in objects):
        return [*objects, _list_of(guid, [raw])]
    return [
        _list_of(guid, [raw, *(record.raw for record in _records(item))])
        if item.guid == guid
        else item
        for item in objects
    ]


def _parse_picture(value: bytes) -> EmbeddedPicture | None:
    """Type (1 byte), size (4), MIME type and description as UTF-16 up to NUL NUL, image.

    None if it is damaged or only a link.
    """
    if len(value) < 5:
        return None
    kind, size = struct.unpack_from("<BI", value)
    mime, at = _text_at(value, 5)
    _, at = _text_at(value, at)
    data = value[at : at + size]
    return EmbeddedPicture(data, kind) if data and mime != LINK else None


def _text_at(value: bytes, at: int) -> tuple[str, int]:
    end = next((i for i in range(at, len(value), 2) if value[i : i + 2] == b"\0\0"), len(value))
    return value[at:end].decode("utf-16-le", "replace"), end + 2


TAGS = TagFormat(
    keys=keys.ASF,
    pictures=pictures,
    others=others,
    edit=edit,
    rest=rest,
    check=_read,
)
