"""Vorbis comments as raw entries, and the pictures among them.

Entries that are no front cover are neither decoded nor encoded again: some are not even UTF-8.
Sources: Vorbis I specification, section 5; VorbisComment (Xiph wiki).
"""

import base64
import binascii
import struct
from dataclasses import dataclass, replace

from covergen.core.picture import Picture
from covergen.library.pictures.picture_block import front_cover_block, is_front_cover

__all__ = ["Comments"]

_BLOCK = b"METADATA_BLOCK_PICTURE"
_LEGACY = (b"COVERART", b"COVERARTMIME")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comments:
    """The raw vendor string and entries. `tail`: what follows, a framing bit or padding."""

    vendor: bytes
    entries: tuple[bytes, ...]
    tail: bytes

    @classmethod
    def parse(cls, data: bytes) -> "Comments":
        """Raises struct.error or ValueError where an entry runs past the end."""
        vendor, at = _text_at(data, 0)
        (count,) = struct.unpack_from("<I", data, at)
        at += 4
        entries = []
        for _ in range(count):
            entry, at = _text_at(data, at)
            entries.append(entry)
        return cls(vendor=vendor, entries=tuple(entries), tail=data[at:])

    def join(self) -> bytes:
        """The bytes that `parse` reads."""
        count = struct.pack("<I", len(self.entries))
        texts = [struct.pack("<I", len(text)) + text for text in (self.vendor, *self.entries)]
        return b"".join([texts[0], count, *texts[1:], self.tail])

    def without_front_cover(self) -> "Comments":
        """All but front covers, and a legacy COVERART counts as one."""
        return replace(self, entries=tuple(e for e in self.entries if not _is_front_cover(e)))

    def with_front_cover(self, picture: Picture) -> "Comments":
        """The front cover, first of all pictures and after the texts."""
        entries = self.without_front_cover().entries
        block = _BLOCK + b"=" + base64.b64encode(front_cover_block(picture))
        at = next((i for i, entry in enumerate(entries) if _name(entry) == _BLOCK), len(entries))
        return replace(self, entries=(*entries[:at], block, *entries[at:]))


def _text_at(data: bytes, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<I", data, at)
    end = at + 4 + length
    if end > len(data):
        raise ValueError("its Vorbis comment is damaged")
    return data[at + 4 : end], end


def _name(entry: bytes) -> bytes:
    return entry.partition(b"=")[0].upper()


def _is_front_cover(entry: bytes) -> bool:
    if _name(entry) != _BLOCK:
        return _name(entry) in _LEGACY
    try:
        return is_front_cover(base64.b64decode(entry.partition(b"=")[2]))
    except binascii.Error:
        return False
