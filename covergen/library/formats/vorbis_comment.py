"""Pictures in Vorbis comments, which are edited as raw entries, and FLAC's picture block.

Other entries are never decoded and encoded again: some are not even UTF-8.
Sources: Vorbis I specification, section 5; VorbisComment (Xiph wiki);
RFC 9639, section 8.8 (the picture block, which comments contain too).
"""

import base64
import binascii
import struct
from dataclasses import dataclass, replace

import mutagen
import mutagen.flac

from covergen.core.picture import Picture
from covergen.library.formats.embedded_picture import (
    FRONT_COVER,
    LINK,
    EmbeddedPicture,
    PictureFilter,
    is_kept,
)

_BLOCK = "METADATA_BLOCK_PICTURE"
_LEGACY = ("COVERART", "COVERARTMIME")


def pictures(file: mutagen.FileType) -> list[EmbeddedPicture]:
    """The pictures in METADATA_BLOCK_PICTURE, then in COVERART. Damaged ones are skipped."""
    tags = file.tags or ()
    found = [_from_block(value) for name, value in tags if name.upper() == _BLOCK]
    found += [_from_legacy(value) for name, value in tags if name.upper() == _LEGACY[0]]
    return [picture for picture in found if picture is not None]


def others(file: mutagen.FileType) -> object:
    """The vendor and all comments except pictures, as mutagen reads them."""
    if file.tags is None:
        return None
    return file.tags.vendor, [(k, v) for k, v in file.tags if k.upper() not in (_BLOCK, *_LEGACY)]


def front_cover_block(picture: Picture) -> bytes:
    """Encode the block's body. All dimensions are set, because opusfile requires them."""
    mime = picture.mime.encode()
    head = struct.pack(">II", FRONT_COVER, len(mime)) + mime + struct.pack(">I", 0)
    sizes = (picture.width, picture.height, picture.depth, picture.colors, len(picture.data))
    return head + struct.pack(">5I", *sizes) + picture.data


def picture_in(block: bytes) -> EmbeddedPicture | None:
    """Decode a block's body, possibly truncated. Returns None for a link."""
    if len(block) < 8:
        return None
    kind, length = struct.unpack_from(">II", block)
    text = 8 + length
    if block[8:text] == LINK.encode():
        return None
    sizes = text + 4 + int.from_bytes(block[text : text + 4], "big")
    return EmbeddedPicture(block[sizes + 20 :], kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comments:
    """The raw vendor string and entries. `tail` is a framing bit or padding after them."""

    vendor: bytes
    entries: tuple[bytes, ...]
    tail: bytes

    @classmethod
    def parse(cls, data: bytes) -> "Comments":
        """Parse a comment header. Raises struct.error or ValueError if it is cut short."""
        vendor, at = _text_at(data, 0)
        (count,) = struct.unpack_from("<I", data, at)
        at += 4
        entries = []
        for _ in range(count):
            entry, at = _text_at(data, at)
            entries.append(entry)
        return cls(vendor=vendor, entries=tuple(entries), tail=data[at:])

    def join(self) -> bytes:
        """Return the bytes that `parse` reads."""
        count = struct.pack("<I", len(self.entries))
        texts = [struct.pack("<I", len(text)) + text for text in (self.vendor, *self.entries)]
        return b"".join([texts[0], count, *texts[1:], self.tail])

    def without(self, should_remove: PictureFilter) -> "Comments":
        """Remove pictures. A legacy COVERART counts as a front cover."""
        kept = (entry for entry in self.entries if is_kept(_picture(entry), should_remove))
        return replace(self, entries=tuple(kept))

    def with_front_cover(self, picture: Picture) -> "Comments":
        """Add a front cover before the other pictures and after the texts."""
        block = _BLOCK.encode() + b"=" + base64.b64encode(front_cover_block(picture))
        names = [_name(entry) for entry in self.entries]
        at = names.index(_BLOCK) if _BLOCK in names else len(names)
        return replace(self, entries=(*self.entries[:at], block, *self.entries[at:]))


def _text_at(data: bytes, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<I", data, at)
    end = at + 4 + length
    if end > len(data):
        raise ValueError("the Vorbis comment is damaged")
    return data[at + 4 : end], end


def _name(entry: bytes) -> str:
    return entry.partition(b"=")[0].decode("ascii", "replace").upper()


def _picture(entry: bytes) -> EmbeddedPicture | None:
    name = _name(entry)
    if name not in (_BLOCK, *_LEGACY):
        return None
    try:
        data = base64.b64decode(entry.partition(b"=")[2])
    except binascii.Error:
        data = b""
    return picture_in(data) if name == _BLOCK else EmbeddedPicture(data, FRONT_COVER)


def _from_block(value: str) -> EmbeddedPicture | None:
    try:
        block = mutagen.flac.Picture(base64.b64decode(value))
    except (binascii.Error, ValueError, struct.error, mutagen.MutagenError):
        return None
    return None if block.mime == LINK else EmbeddedPicture(block.data, block.type)


def _from_legacy(value: str) -> EmbeddedPicture | None:
    try:
        data = base64.b64decode(value)
    except (binascii.Error, ValueError):
        return None
    return EmbeddedPicture(data, FRONT_COVER) if data else None
