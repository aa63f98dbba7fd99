"""Pictures in FLAC files. Metadata blocks are edited as raw bytes.

Source: RFC 9639.
"""

from dataclasses import dataclass
from typing import BinaryIO

import mutagen

from covergen.core.picture import Picture
from covergen.library.formats import keys, vorbis_comment
from covergen.library.formats.embedded_picture import (
    LINK,
    EmbeddedPicture,
    PictureFilter,
    TooLargeError,
    is_kept,
)
from covergen.library.formats.id3_places import START, id3_size
from covergen.library.formats.splice import outside, padding, splice
from covergen.library.formats.tag_format import TagFormat
from covergen.library.formats.vorbis_comment import Comments, front_cover_block, picture_in

_PADDING, _COMMENT, _PICTURE = 1, 4, 6
_LAST = 0x80
_MAX_BYTES = (1 << 24) - 1

_Block = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class _Metadata:
    """The blocks, as type and body, and their position in the file, after the marker."""

    blocks: tuple[_Block, ...]
    start: int
    end: int


def pictures(file: mutagen.FileType) -> list[EmbeddedPicture]:
    """The picture blocks, then pictures that were wrongly put into the Vorbis comment."""
    blocks = [EmbeddedPicture(b.data, b.type) for b in file.pictures if b.mime != LINK]
    return blocks + vorbis_comment.pictures(file)


def others(file: mutagen.FileType) -> object:
    """The comments and all blocks except pictures and padding, as mutagen reads them."""
    own = (_PADDING, _COMMENT, _PICTURE)
    blocks = [(b.code, b.write()) for b in file.metadata_blocks if b.code not in own]
    return blocks, vorbis_comment.others(file)


def edit(file: BinaryIO, should_remove: PictureFilter, new: Picture | None) -> str:
    """Remove pictures and add `new` as the first one, after the Vorbis comment.

    Raises TooLargeError.
    """
    added = [(_PICTURE, front_cover_block(new))] if new else []
    if any(len(block) > _MAX_BYTES for _, block in added):
        raise TooLargeError("FLAC pictures must be smaller than 16 MiB")
    old = _read(file)
    kept, kept_pictures = _without(old, should_remove)
    # Windows requires pictures after the comment; the first block is always STREAMINFO.
    after = next((i for i, (kind, _) in enumerate(kept) if kind == _COMMENT), 0) + 1
    blocks = [*kept[:after], *added, *kept_pictures, *kept[after:]]
    splice(file, old.start, old.end, _join(blocks, old.end - old.start))
    return ""


def rest(file: BinaryIO, should_remove: PictureFilter) -> object:
    """All raw blocks except removed pictures and padding, and the bytes around the blocks."""
    metadata = _read(file)
    return _without(metadata, should_remove), outside(file, metadata.start, metadata.end)


def _read(file: BinaryIO) -> _Metadata:
    """Read the metadata. Raises ValueError if it is damaged or audio does not follow it."""
    file.seek(0)
    start = id3_size(file.read(10))
    file.seek(start)
    if file.read(4) != b"fLaC":
        raise ValueError("the FLAC marker is missing")
    blocks, last = [], False
    while not last:
        head = file.read(4)
        size = int.from_bytes(head[1:], "big")
        body = file.read(size)
        if len(head) < 4 or len(body) < size:
            raise ValueError("the metadata runs past the end of the file")
        blocks.append((head[0] & 0x7F, body))
        last = bool(head[0] & _LAST)
    end = file.tell()
    sync = file.read(2)
    if len(sync) == 2 and not (sync[0] == 0xFF and sync[1] & 0xFC == 0xF8):
        raise ValueError("a metadata block has a wrong size")
    return _Metadata(tuple(blocks), start + 4, end)


def _without(
    metadata: _Metadata, should_remove: PictureFilter
) -> tuple[list[_Block], list[_Block]]:
    """Return the blocks that are not pictures, and the pictures to keep."""
    kept, kept_pictures = [], []
    for kind, body in metadata.blocks:
        if kind == _COMMENT:
            kept.append((kind, Comments.parse(body).without(should_remove).join()))
        elif kind == _PICTURE:
            if is_kept(picture_in(body), should_remove):
                kept_pictures.append((kind, body))
        elif kind != _PADDING:
            kept.append((kind, body))
    return kept, kept_pictures


def _join(blocks: list[_Block], available: int) -> bytes:
    needed = sum(4 + len(body) for _, body in blocks)
    room = padding(available - needed, minimum=4)
    if room:
        blocks = [*blocks, (_PADDING, bytes(room - 4))]
    last = len(blocks) - 1
    return b"".join(
        bytes([kind | (_LAST if i == last else 0)]) + len(body).to_bytes(3, "big") + body
        for i, (kind, body) in enumerate(blocks)
    )


TAGS = TagFormat(
    keys=keys.VORBIS,
    pictures=pictures,
    others=others,
    edit=edit,
    rest=rest,
    check=_read,
    texts=START.texts,
    place=START,
)
