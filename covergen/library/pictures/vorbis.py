"""The front cover in Vorbis comments, and in the Ogg streams that carry them.

Sources: RFC 3533 (Ogg), RFC 7845 (Opus), RFC 9639 section 10.1 (FLAC), Vorbis I, the Speex manual.
"""

import base64
import binascii
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import mutagen
import mutagen.flac
from mutagen.ogg import OggPage

from covergen.core.errors import WriteError
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.library.pictures.comments import Comments
from covergen.library.pictures.embedded import FRONT_COVER, LINK, EmbeddedPicture

__all__ = ["OGG_FLAC", "OPUS", "SPEEX", "VORBIS", "Codec", "others", "pictures", "put", "rest"]

_PICTURE_NAMES = ("METADATA_BLOCK_PICTURE", "COVERART", "COVERARTMIME")
_PAGE_BYTES = 254 * 255  # a page's 255 lacing values, less one to end a packet
_NO_PACKET_ENDS = -1


@dataclass(frozen=True, slots=True)
class Codec:
    """How a codec's stream begins, and what stands before the comments in their packet.

    `sized`: the last three bytes of that are the length of what follows.
    """

    magic: bytes
    prefix_bytes: int
    sized: bool = False


VORBIS = Codec(b"\x01vorbis", len(b"\x03vorbis"))
OPUS = Codec(b"OpusHead", len(b"OpusTags"))
SPEEX = Codec(b"Speex   ", 0)
OGG_FLAC = Codec(b"\x7fFLAC", 4, sized=True)


@dataclass(frozen=True, slots=True)
class _Headers:
    """The pages that hold the comments and the header packets after them."""

    pages: list[OggPage]
    prefix: bytes
    comments: Comments
    further: list[bytes]


def pictures(file: mutagen.FileType) -> list[EmbeddedPicture]:
    """Each METADATA_BLOCK_PICTURE, then each COVERART; what is neither is passed over."""
    tags = file.tags or ()
    found = [_block(value) for name, value in tags if name.upper() == "METADATA_BLOCK_PICTURE"]
    found += [_legacy(value) for name, value in tags if name.upper() == "COVERART"]
    return [picture for picture in found if picture is not None]


def others(file: mutagen.FileType) -> object:
    """The vendor and every comment but pictures, as mutagen reads them."""
    if file.tags is None:
        return None
    return file.tags.vendor, [(k, v) for k, v in file.tags if k.upper() not in _PICTURE_NAMES]


def put(path: Path, picture: Picture, codec: Codec) -> str:
    """Make `picture` the front cover, first of all pictures; a legacy COVERART goes.

    Raises WriteError where it is larger than the packet can be (Ogg FLAC).
    """
    with path.open("r+b") as file:
        old = _read(file, codec)
        body = old.comments.with_front_cover(picture).join()
        prefix = old.prefix
        if codec.sized:
            if len(body) >= 1 << 24:
                raise WriteError(path, Reason.TOO_LARGE, "Ogg FLAC's tags are below 16 MiB")
            prefix = prefix[:-3] + len(body).to_bytes(3, "big")
        new = [page for packet in (prefix + body, *old.further) for page in _paginate(packet)]
        OggPage.replace(file, old.pages, new)
    return ""


def rest(path: Path, codec: Codec) -> object:
    """The raw comments but the front cover, and the other headers."""
    with path.open("rb") as file:
        headers = _read(file, codec)
        further = b"".join([*headers.further, *_header_bytes(file, headers.pages[0].serial)])
    prefix = headers.prefix[:-3] if codec.sized else headers.prefix
    return prefix, headers.comments.without_front_cover(), further


def _read(file: BinaryIO, codec: Codec) -> _Headers:
    """Raises ValueError where audio shares a page with headers, EOFError at a stream's end."""
    pages = _header_pages(file, codec)
    if pages[0].continued or pages[-1].position not in (0, _NO_PACKET_ENDS):
        raise ValueError("audio shares a page with the headers")
    first, *further = OggPage.to_packets(pages, strict=True)
    prefix, body = first[: codec.prefix_bytes], first[codec.prefix_bytes :]
    return _Headers(pages, prefix, Comments.parse(body), further)


def _header_pages(file: BinaryIO, codec: Codec) -> list[OggPage]:
    """From the page on which the comments begin to the first that ends with a packet."""
    page = OggPage(file)
    while not (page.first and page.packets and page.packets[0].startswith(codec.magic)):
        page = OggPage(file)
    serial = page.serial
    pages: list[OggPage] = []
    while not (pages and pages[-1].complete):
        page = OggPage(file)
        if page.serial == serial:
            pages.append(page)
    return pages


def _header_bytes(file: BinaryIO, serial: int) -> Iterator[bytes]:
    """The contents of further pages of a stream, up to the first on which audio ends."""
    with suppress(EOFError):
        while (page := OggPage(file)).position in (0, _NO_PACKET_ENDS) or page.serial != serial:
            if page.serial == serial:
                yield from page.packets


def _paginate(packet: bytes) -> Iterator[OggPage]:
    """A header packet on pages of its own, as large as they may be."""
    for start in range(0, max(1, len(packet)), _PAGE_BYTES):
        page = OggPage()
        page.packets = [packet[start : start + _PAGE_BYTES]]
        page.continued = start > 0
        page.complete = start + _PAGE_BYTES >= len(packet)
        page.position = 0 if page.complete else _NO_PACKET_ENDS
        yield page


def _block(value: str) -> EmbeddedPicture | None:
    try:
        block = mutagen.flac.Picture(base64.b64decode(value))
    except (binascii.Error, ValueError, struct.error, mutagen.MutagenError):
        return None
    return None if block.mime == LINK else EmbeddedPicture(block.data, block.type)


def _legacy(value: str) -> EmbeddedPicture | None:
    try:
        data = base64.b64decode(value)
    except (binascii.Error, ValueError):
        return None
    return EmbeddedPicture(data, FRONT_COVER) if data else None
