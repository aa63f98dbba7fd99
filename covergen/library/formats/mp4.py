"""Pictures in MP4 files. The `moov` atom is rebuilt around them.

Everything else is copied byte for byte. If the audio moves, the offset tables are updated.

Sources: ISO/IEC 14496-12 (atoms); QuickTime File Format, Metadata (values and their types).
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, repeat
from typing import BinaryIO, NamedTuple

import mutagen
from mutagen.mp4 import MP4, Atom, Atoms

from covergen.core.picture import Picture
from covergen.library.formats import keys
from covergen.library.formats.embedded_picture import (
    FRONT_COVER,
    EmbeddedPicture,
    PictureFilter,
    TooLargeError,
)
from covergen.library.formats.splice import padding, splice
from covergen.library.formats.tag_format import TagFormat
from covergen.library.mutagen_errors import DAMAGE

_TYPES = {"image/jpeg": 13, "image/png": 14, "image/bmp": 27}
_UNTYPED = 0
_FILLERS = (b"free", b"skip")
_META = (b"udta", b"meta")
_HANDLER = b"\0\0\0\0" + struct.pack(">I4s", 33, b"hdlr") + bytes(8) + b"mdirappl" + bytes(9)
_FIXED_HEAD = 8
_VERSION_BYTES = 4  # of `meta`, before its atoms
_STILLS = (b"jpeg", b"mjpa", b"png ")  # codecs
_VALUE_HEAD = 8  # the type and the locale


class _Atom(NamedTuple):
    """An atom's name, and the offsets of its start, its body and its end."""

    name: bytes
    start: int
    body: int
    end: int


class Mp4File(MP4):  # type: ignore[misc]  # mutagen is untyped
    """mutagen's MP4, extended. `is_video`: it has a video track other than chapter stills."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.is_video = False
        with suppress(*DAMAGE):  # reported elsewhere
            self.is_video = _has_video(file)


def pictures(file: mutagen.FileType) -> list[EmbeddedPicture]:
    """The `covr` values. MP4 has no picture types: only the first counts as front cover."""
    covers = (file.tags or {}).get("covr", [])
    return [EmbeddedPicture(bytes(c), FRONT_COVER if i == 0 else 0) for i, c in enumerate(covers)]


def others(file: mutagen.FileType) -> object:
    """All values except pictures, as mutagen reads them."""
    tags = file.tags or {}
    return {name: repr(values) for name, values in tags.items() if name != "covr"}


def edit(file: BinaryIO, should_remove: PictureFilter, new: Picture | None) -> str:
    """Remove pictures and add `new` as the first one. Raises TooLargeError if offsets overflow."""
    moov, end = _moov_and_room(file)
    body = _edited(_body(file, moov), _META, lambda meta: _edited_meta(meta, should_remove, new))
    size = _FIXED_HEAD + len(body)
    room = padding(end - moov.start - size, minimum=_FIXED_HEAD)
    delta = moov.start + size + room - end
    body = _repointed(body, moov.end, delta)
    free = _join(b"free", bytes(room - _FIXED_HEAD)) if room else b""
    splice(file, moov.start, end, _join(b"moov", body) + free)
    if delta:
        _repoint_fragments(file, moov.end, delta)
    return ""


def check(file: BinaryIO) -> None:
    """Raise ValueError or struct.error if `edit` would fail on a damaged structure."""
    moov, _ = _moov_and_room(file)
    inner: bytes | memoryview = memoryview(_body(file, moov))
    for name in _META:
        atom = next((atom for atom in _atoms(inner) if atom.name == name), None)
        if atom is None:
            return
        inner = inner[atom.body : atom.end]
    _check_kind(inner)
    for _ in _atoms(inner[_VERSION_BYTES:]):
        pass


def rest(file: BinaryIO, should_remove: PictureFilter) -> object:
    """The atoms outside `moov`, and all leaves in it except removed pictures and offsets."""
    outer = [(a.name, a.end - a.start) for a in _top_level(file) if a.name not in _FILLERS]
    moov, _ = _moov_and_room(file)
    leaves = list(_leaves((), _body(file, moov), should_remove))
    return [atom for atom in outer if atom[0] != b"moov"], leaves


def _top_level(file: BinaryIO) -> list[_Atom]:
    """Return the top-level atoms of a file.

    A final atom without name stands for bytes that are not a valid atom: truncated audio, or
    trailing data.
    """
    size = file.seek(0, 2)
    atoms, at = [], 0
    while at + _FIXED_HEAD <= size:
        file.seek(at)
        try:
            atom = _atom(file.read(16), at, size)
        except (ValueError, struct.error):
            atom = _Atom(b"", at, at, size)
        atoms.append(atom)
        at = atom.end
    return atoms


def _has_video(file: BinaryIO) -> bool:
    return any(_is_video_track(file, track) for track in Atoms(file)[b"moov"].findall(b"trak"))


def _is_video_track(file: BinaryIO, track: Atom) -> bool:
    """Whether a track is video, rather than the chapter stills of an audiobook."""

    def four_bytes(at: int, *path: bytes) -> bytes:
        _, data = track[(b"mdia", *path)].read(file)
        return bytes(data[at : at + 4])

    if four_bytes(8, b"hdlr") != b"vide":
        return False
    table = (b"minf", b"stbl")
    codec, count = four_bytes(12, *table, b"stsd"), four_bytes(8, *table, b"stsz")
    return codec not in _STILLS and count != b"\0\0\0\1"


def _atom(head: bytes | memoryview, at: int, limit: int) -> _Atom:
    """Parse the head of the atom at offset `at`, which must end by `limit`. Raises ValueError."""
    length, name = struct.unpack_from(">I4s", head)
    body = at + _FIXED_HEAD
    if length == 1:
        (length,) = struct.unpack_from(">Q", head, _FIXED_HEAD)
        body += 8
    elif length == 0:
        length = limit - at
    if not body <= at + length <= limit:
        raise ValueError(f"the {name!r} atom at byte {at} has a wrong size")
    return _Atom(name, at, body, at + length)


def _atoms(data: bytes | memoryview, at: int = 0) -> Iterator[_Atom]:
    while at + _FIXED_HEAD <= len(data):
        atom = _atom(data[at : at + 16], at, len(data))
        yield atom
        at = atom.end


def _join(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", _FIXED_HEAD + len(body), name) + body


def _moov_and_room(file: BinaryIO) -> tuple[_Atom, int]:
    """Return the `moov` atom and the end of the free space after it."""
    atoms = _top_level(file)
    index = next((i for i, atom in enumerate(atoms) if atom.name == b"moov"), None)
    if index is None:
        raise ValueError("the moov atom is missing")
    end = atoms[index].end
    for atom in atoms[index + 1 :]:
        if atom.name not in _FILLERS:
            break
        end = atom.end
    return atoms[index], end


def _body(file: BinaryIO, atom: _Atom) -> bytes:
    file.seek(atom.body)
    return file.read(atom.end - atom.body)


def _edited(body: bytes, path: tuple[bytes, ...], edit: Callable[[bytes], bytes]) -> bytes:
    """Edit the body of the first atom at `path` in a container's body, creating missing atoms."""
    end = 0
    name, *further = path
    for atom in _atoms(body):
        if atom.name == name:
            old, start, end = body[atom.body : atom.end], atom.start, atom.end
            break
        end = atom.end
    else:
        old, start = b"", end
    new = _edited(old, tuple(further), edit) if further else edit(old)
    return body[:start] + _join(name, new) + body[end:]


def _edited_meta(meta: bytes, should_remove: PictureFilter, new: Picture | None) -> bytes:
    meta = meta or _HANDLER
    _check_kind(meta)

    def edited(items: bytes) -> bytes:
        kept = _without(items, should_remove)
        return _edited(kept, (b"covr",), lambda covers: _value(new) + covers) if new else kept

    return meta[:_VERSION_BYTES] + _edited(meta[_VERSION_BYTES:], (b"ilst",), edited)


def _check_kind(meta: bytes | memoryview) -> None:
    kind = _VERSION_BYTES + 16
    if meta[kind : kind + 4] != b"mdir":
        raise ValueError("the metadata is not in iTunes format")


def _value(picture: Picture) -> bytes:
    kind = _TYPES.get(picture.mime, _UNTYPED)
    return _join(b"data", struct.pack(">II", kind, 0) + picture.data)


def _without(items: bytes, should_remove: PictureFilter) -> bytes:
    """Remove pictures from an `ilst` body, and `covr` atoms that become empty."""
    kinds = chain([FRONT_COVER], repeat(0))
    parts, at = [], 0
    for item in _atoms(items):
        covers = items[item.body : item.end]
        if item.name == b"covr" and (left := _covers_left(covers, should_remove, kinds)) != covers:
            parts += [items[at : item.start], _join(b"covr", left) if left else b""]
            at = item.end
    return b"".join([*parts, items[at:]])


def _covers_left(covers: bytes, should_remove: PictureFilter, kinds: Iterator[int]) -> bytes:
    parts, at = [], 0
    for atom in _atoms(covers):
        image = covers[atom.body + _VALUE_HEAD : atom.end]
        if atom.name == b"data" and should_remove(EmbeddedPicture(image, next(kinds))):
            parts.append(covers[at : atom.start])
            at = atom.end
    return b"".join([*parts, covers[at:]])


_TABLES = {b"stco": "I", b"co64": "Q"}
_CONTAINERS = (b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mfra")


def _leaves(
    path: tuple[bytes, ...], body: bytes, should_remove: PictureFilter
) -> Iterator[tuple[tuple[bytes, ...], bytes]]:
    for atom in _atoms(body):
        inner, here = body[atom.body : atom.end], (*path, atom.name)
        if here == _META:
            yield from _leaves(here, inner[_VERSION_BYTES:], should_remove)
        elif here == (*_META, b"ilst"):
            yield from _leaves(here, _without(inner, should_remove), should_remove)
        elif atom.name in _CONTAINERS or here == _META[:1]:
            yield from _leaves(here, inner, should_remove)
        elif atom.name not in (*_FILLERS, *_TABLES) and here != (*_META, b"hdlr"):
            yield here, inner


def _repointed(body: bytes, end: int, delta: int) -> bytes:
    """Return a container's body with `delta` added to offsets from byte `end` on.

    Raises TooLargeError if an offset no longer fits.
    """
    parts, at = [], 0
    for atom in _atoms(body):
        inner = body[atom.body : atom.end]
        if atom.name in _CONTAINERS:
            inner = _repointed(inner, end, delta)
        elif atom.name in _TABLES:
            inner = _moved_table(inner, _TABLES[atom.name], end, delta)
        elif atom.name == b"tfhd":
            inner = _moved_base(inner, end, delta)
        elif atom.name == b"tfra":
            inner = _moved_random_access(inner, end, delta)
        parts += [body[at : atom.body], inner]
        at = atom.end
    return b"".join([*parts, body[at:]])


def _moved_table(table: bytes, code: str, end: int, delta: int) -> bytes:
    (count,) = struct.unpack_from(">I", table, 4)
    form = struct.Struct(f">{count}{code}")
    offsets = form.unpack_from(table, 8)
    moved = [offset + delta if offset >= end else offset for offset in offsets]
    if code == "I" and max(moved, default=0) >= 1 << 32:
        raise TooLargeError("its 32-bit offsets would overflow")
    return table[:8] + form.pack(*moved) + table[8 + form.size :]


def _moved_base(header: bytes, end: int, delta: int) -> bytes:
    """Adjust a track fragment header, which may contain the offset of its data."""
    if not header[3] & 1:
        return header
    (base,) = struct.unpack_from(">Q", header, 8)
    return header[:8] + struct.pack(">Q", base + delta if base >= end else base) + header[16:]


def _moved_random_access(index: bytes, end: int, delta: int) -> bytes:
    """Adjust a fragment index: version, track, sizes of the three numbers after each offset."""
    _, sizes, count = struct.unpack_from(">III", index, 4)
    form = ">QQ" if index[0] == 1 else ">II"
    step = struct.calcsize(form) + sum((sizes >> shift & 3) + 1 for shift in (4, 2, 0))
    moved = bytearray(index)
    for at in range(16, 16 + count * step, step):
        time, offset = struct.unpack_from(form, index, at)
        struct.pack_into(form, moved, at, time, offset + delta if offset >= end else offset)
    return bytes(moved)


def _repoint_fragments(file: BinaryIO, end: int, delta: int) -> None:
    for atom in _top_level(file):
        if atom.name in (b"moof", b"mfra"):
            body = _repointed(_body(file, atom), end, delta)
            file.seek(atom.body)
            file.write(body)


TAGS = TagFormat(
    keys=keys.MP4,
    pictures=pictures,
    others=others,
    edit=edit,
    rest=rest,
    check=check,
)
