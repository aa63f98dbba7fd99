"""Pictures in Ogg streams, inside their Vorbis comments.

Sources: RFC 3533 (Ogg), RFC 7845 (Opus), RFC 9639 section 10.1 (FLAC), Vorbis I, the Speex manual.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import mutagen
import mutagen.ogg
from mutagen.ogg import OggPage
from mutagen.oggflac import OggFLAC

from covergen.core.picture import Picture
from covergen.library.formats import keys, vorbis_comment
from covergen.library.formats.embedded_picture import (
    EmbeddedPicture,
    PictureFilter,
    TooLargeError,
    is_kept,
)
from covergen.library.formats.splice import splice
from covergen.library.formats.tag_format import TagFormat
from covergen.library.formats.vorbis_comment import Comments, picture_in

MAGIC = b"OggS"
"""The first bytes of each page."""

_PAGE_BYTES = 254 * 255  # a page has 255 lacing values, one of which ends the packet
_PAGE_HEAD_BYTES = 27 + 255
_NO_PACKET_ENDS = -1
_SEARCHED_BYTES = 64 << 10

GROWTH = 4 / 3 * (1 + _PAGE_HEAD_BYTES / _PAGE_BYTES)
"""The bytes that a file grows for each byte of its picture, which is stored as base64."""

# Ogg FLAC: each FLAC block is a packet, and the first packet contains their number.
_BLOCK_HEAD = 4
_PICTURE_BLOCK = 6
_LAST_BLOCK = 0x80
_BLOCK_COUNT = slice(7, 9)
_AUDIO = b"\xff"


@dataclass(frozen=True, slots=True)
class Codec:
    """The first bytes of a codec's stream, and the length of the prefix in its comment packet.

    `in_blocks`: header packets are FLAC metadata blocks, including their heads.
    """

    magic: bytes
    prefix_bytes: int
    in_blocks: bool = False


VORBIS = Codec(b"\x01vorbis", len(b"\x03vorbis"))
OPUS = Codec(b"OpusHead", len(b"OpusTags"))
SPEEX = Codec(b"Speex   ", 0)
OGG_FLAC = Codec(b"\x7fFLAC", _BLOCK_HEAD, in_blocks=True)


@dataclass(frozen=True, slots=True)
class _Headers:
    """The stream's first page, and the pages with the comments and further header packets."""

    first: OggPage
    pages: list[OggPage]
    prefix: bytes
    comments: Comments
    further: list[bytes]


class OggFlacFile(OggFLAC):  # type: ignore[misc]  # mutagen is untyped
    """mutagen's OggFLAC with the pictures in separate blocks, as written by `flac --picture`."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.block_pictures: list[EmbeddedPicture] = []
        with suppress(EOFError, ValueError):  # blocks after the comments may be missing
            found = map(_block_picture, _read(file, OGG_FLAC).further)
            self.block_pictures = [picture for picture in found if picture is not None]


def tags_of(codec: Codec) -> TagFormat:
    """The Vorbis comments of streams of this codec."""
    return TagFormat(
        keys=keys.VORBIS,
        pictures=oggflac_pictures if codec.in_blocks else vorbis_comment.pictures,
        others=vorbis_comment.others,
        edit=partial(edit, codec=codec),
        rest=partial(rest, codec=codec),
        check=partial(check, codec=codec),
    )


def oggflac_pictures(file: mutagen.FileType) -> list[EmbeddedPicture]:
    """The pictures in the comments, where players look first, then those in separate blocks."""
    return [*vorbis_comment.pictures(file), *file.block_pictures]


def begins(head: bytes, codec: Codec) -> bool:
    """Whether a stream of this codec starts on the first pages of a file. Source: RFC 3533."""
    page = 0
    while head.startswith(MAGIC, page) and page + 27 <= len(head) and head[page + 5] & 2:
        segments = head[page + 27 : page + 27 + head[page + 26]]
        packet = page + 27 + len(segments)
        if head.startswith(codec.magic, packet):
            return True
        page = packet + sum(segments)
    return False


def edit(file: BinaryIO, should_remove: PictureFilter, new: Picture | None, codec: Codec) -> str:
    """Remove pictures and add `new` as the first one. A legacy COVERART counts as a front cover.

    Raises TooLargeError (Ogg FLAC).
    """
    old = _read(file, codec)
    kept = old.comments.without(should_remove)
    body = (kept.with_front_cover(new) if new else kept).join()
    packets = [old.prefix + body, *old.further]
    if codec.in_blocks:
        if len(body) >= 1 << 24:
            raise TooLargeError("Ogg FLAC tags must be smaller than 16 MiB")
        packets[0] = old.prefix[:1] + len(body).to_bytes(3, "big") + body
        packets = _without_blocks(packets, should_remove)
    pages = [page for packet in packets for page in _paginate(packet)]
    _replace(file, old.pages, pages)
    if len(packets) <= len(old.further):
        _count_blocks(file, old.first, len(packets))
    return ""


def check(file: BinaryIO, codec: Codec) -> None:
    """Raise ValueError or mutagen's errors if `edit` would fail on a damaged structure."""
    _checked_pages(file, codec)


def rest(file: BinaryIO, should_remove: PictureFilter, codec: Codec) -> object:
    """The raw comments except removed pictures, and the other headers."""
    headers = _read(file, codec)
    later = list(_header_bytes(file, headers.pages[0].serial))
    prefix, further = headers.prefix, headers.further
    if codec.in_blocks:
        prefix, *further = (
            bytes([packet[0] & ~_LAST_BLOCK]) + packet[1:]
            for packet in _without_blocks([prefix[:1], *further], should_remove)
        )
    return prefix, headers.comments.without(should_remove), b"".join([*further, *later])


def _block_picture(packet: bytes) -> EmbeddedPicture | None:
    is_picture = packet[:1] and packet[0] & ~_LAST_BLOCK == _PICTURE_BLOCK
    return picture_in(packet[_BLOCK_HEAD:]) if is_picture else None


def _without_blocks(packets: list[bytes], should_remove: PictureFilter) -> list[bytes]:
    """Remove pictures from the blocks, and keep the last-block flag on the last one."""
    kept = [packet for packet in packets if is_kept(_block_picture(packet), should_remove)]
    if len(kept) < len(packets) and packets[-1][0] & _LAST_BLOCK:
        kept[-1] = bytes([kept[-1][0] | _LAST_BLOCK]) + kept[-1][1:]
    return kept


def _count_blocks(file: BinaryIO, first: OggPage, count: int) -> None:
    """Update the number of blocks in a stream's first page, unless it is unspecified."""
    packet = bytearray(first.packets[0])
    if any(packet[_BLOCK_COUNT]):
        packet[_BLOCK_COUNT] = count.to_bytes(2, "big")
        first.packets[0] = bytes(packet)
        file.seek(first.offset)
        file.write(first.write())


def _read(file: BinaryIO, codec: Codec) -> _Headers:
    """Read the headers. Raises ValueError if they are damaged."""
    first, pages = _checked_pages(file, codec)
    packet, *further = OggPage.to_packets(pages, strict=True)
    prefix, body = packet[: codec.prefix_bytes], packet[codec.prefix_bytes :]
    return _Headers(first, pages, prefix, Comments.parse(body), further)


def _checked_pages(file: BinaryIO, codec: Codec) -> tuple[OggPage, list[OggPage]]:
    """Raise ValueError if the headers are incomplete or share a page with audio."""
    try:
        first, pages = _header_pages(file, codec)
    except EOFError as error:
        raise ValueError("the headers are incomplete") from error
    if pages[0].continued or pages[-1].position not in (0, _NO_PACKET_ENDS):
        # As Vorbis I (A.2), RFC 7845 (3) and RFC 9639 (10.1) require, and speexenc does as well.
        raise ValueError(
            "audio shares a page with the headers, where it has to start a new one"
            " (`ffmpeg -i OLD -c copy NEW` repairs that)"
        )
    return first, pages


def _header_pages(file: BinaryIO, codec: Codec) -> tuple[OggPage, list[OggPage]]:
    """Return the first page, and the pages from the comments to the first that ends a packet.

    In Ogg FLAC, to the end of the last block. Raises EOFError if there are none.
    """
    file.seek(0)
    first = OggPage(file)
    while not (first.first and first.packets and first.packets[0].startswith(codec.magic)):
        first = OggPage(file)
    pages: list[OggPage] = []
    while not _ends_headers(pages, codec):
        page = OggPage(file)
        if page.serial != first.serial:
            continue
        if pages and pages[-1].complete and page.packets[:1] and page.packets[0][:1] == _AUDIO:
            file.seek(page.offset)  # no block was flagged as the last
            break
        pages.append(page)
    return first, pages


def _ends_headers(pages: list[OggPage], codec: Codec) -> bool:
    if not (pages and pages[-1].complete):
        return False
    if not codec.in_blocks:
        return True
    starts = [number for number, page in enumerate(pages) if len(page.packets) > page.continued]
    last = pages[starts[-1] if starts else 0].packets[-1]
    return bool(last[:1]) and bool(last[0] & _LAST_BLOCK)


def _header_bytes(file: BinaryIO, serial: int) -> Iterator[bytes]:
    """Yield the packets of a stream's further pages, up to the first page that ends audio."""
    with suppress(EOFError):
        while (page := OggPage(file)).position in (0, _NO_PACKET_ENDS) or page.serial != serial:
            if page.serial == serial:
                yield from page.packets


def _paginate(packet: bytes) -> Iterator[OggPage]:
    """Split a header packet into pages of maximum size."""
    for start in range(0, max(1, len(packet)), _PAGE_BYTES):
        page = OggPage()
        page.packets = [packet[start : start + _PAGE_BYTES]]
        page.continued = start > 0
        page.complete = start + _PAGE_BYTES >= len(packet)
        page.position = 0 if page.complete else _NO_PACKET_ENDS
        yield page


def _replace(file: BinaryIO, old: list[OggPage], new: list[OggPage]) -> None:
    """Replace pages, and renumber the pages after them in the stream.

    OggPage.replace fails on trailing data that is not a page, such as an ID3v1 tag.
    """
    for number, page in enumerate(new, start=old[0].sequence):
        page.serial, page.sequence = old[0].serial, number
    new[0].first, new[-1].last = old[0].first, old[-1].last
    end = old[0].offset
    foreign = b""  # interleaved pages of other streams
    for page in old:
        file.seek(end)
        foreign += file.read(page.offset - end)
        end = page.offset + page.size
    data = b"".join(page.write() for page in new)
    splice(file, old[0].offset, end, data + foreign)
    if len(new) != len(old):
        file.seek(old[0].offset + len(data))
        _renumber(file, old[0].serial, len(new) - len(old))


def _renumber(file: BinaryIO, serial: int, by: int) -> None:
    """Change the numbers of a stream's pages from here on, leaving damaged pages as they are."""
    start: int | None = file.tell()
    while start is not None:
        file.seek(start)
        try:
            page = OggPage(file)
        except EOFError:
            return
        except mutagen.ogg.error:
            start = _next_page(file, start + 1)
            continue
        end = file.tell()
        if page.serial == serial:
            if page.first:  # the next chained stream, which may have the same serial number
                return
            file.seek(start)
            if file.read(end - start) == page.write():
                page.sequence += by
                file.seek(start)
                file.write(page.write())
        start = end


def _next_page(file: BinaryIO, start: int) -> int | None:
    """Return the offset of the next page's marker, or None."""
    file.seek(start)
    overlap = b""
    while block := file.read(_SEARCHED_BYTES):
        found = (overlap + block).find(MAGIC)
        if found >= 0:
            return start - len(overlap) + found
        start += len(block)
        overlap = block[-3:]
    return None
