"""The front cover in Ogg streams, which carry it in their Vorbis comments.

Sources: RFC 3533 (Ogg), RFC 7845 (Opus), RFC 9639 section 10.1 (FLAC), Vorbis I, the Speex manual.
"""

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import mutagen
import mutagen.ogg
from mutagen.ogg import OggPage
from mutagen.oggflac import OggFLAC

from covergen.core.errors import WriteError
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.library.pictures import comments
from covergen.library.pictures.comments import Comments
from covergen.library.pictures.embedded import EmbeddedPicture, Gone
from covergen.library.pictures.picture_block import picture_in
from covergen.library.pictures.splice import splice

__all__ = [
    "OGG_FLAC",
    "OPUS",
    "SPEEX",
    "VORBIS",
    "Codec",
    "OggFlacFile",
    "check",
    "edit",
    "oggflac_pictures",
    "rest",
]

_PAGE_BYTES = 254 * 255  # a page's 255 lacing values, less one to end a packet
_NO_PACKET_ENDS = -1
_SEARCHED_BYTES = 64 << 10

# Ogg FLAC: each block of FLAC's is a packet, and the first one tells how many more there are.
_BLOCK_HEAD = 4
_PICTURE_BLOCK = 6
_LAST_BLOCK = 0x80
_BLOCK_COUNT = slice(7, 9)
_AUDIO = b"\xff"


@dataclass(frozen=True, slots=True)
class Codec:
    """How a codec's stream begins, and what stands before the comments in their packet.

    `in_blocks`: header packets are FLAC's metadata blocks, with their heads.
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
    """The stream's first page, and those with the comments and the header packets after them."""

    first: OggPage
    pages: list[OggPage]
    prefix: bytes
    comments: Comments
    further: list[bytes]


class OggFlacFile(OggFLAC):  # type: ignore[misc]  # mutagen is untyped
    """As mutagen reads it, with the pictures in blocks of their own, as `flac --picture` writes."""

    def __init__(self, source: Path | BinaryIO) -> None:
        super().__init__(source)
        self.block_pictures: list[EmbeddedPicture] = []
        with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
            file.seek(0)
            with suppress(EOFError, ValueError):  # what comes after the comments is not for sure
                found = map(_block_picture, _read(file, OGG_FLAC).further)
                self.block_pictures = [picture for picture in found if picture is not None]


def oggflac_pictures(file: mutagen.FileType) -> list[EmbeddedPicture]:
    """Those in the comments, where players look first, then those in blocks of their own."""
    return [*comments.pictures(file), *file.block_pictures]


def edit(path: Path, gone: Gone, new: Picture | None, codec: Codec) -> str:
    """Take pictures out; make `new` the first of them. A legacy COVERART is a front cover.

    Raises WriteError where it is larger than the packet can be (Ogg FLAC).
    """
    with path.open("r+b") as file:
        old = _read(file, codec)
        kept = old.comments.without(gone)
        body = (kept.with_front_cover(new) if new else kept).join()
        packets = [old.prefix + body, *old.further]
        if codec.in_blocks:
            if len(body) >= 1 << 24:
                raise WriteError(path, Reason.TOO_LARGE, "Ogg FLAC's tags are below 16 MiB")
            packets[0] = old.prefix[:1] + len(body).to_bytes(3, "big") + body
            packets = _without_blocks(packets, gone)
        pages = [page for packet in packets for page in _paginate(packet)]
        _replace(file, old.pages, pages)
        if len(packets) <= len(old.further):
            _count_blocks(file, old.first, len(packets))
    return ""


def check(file: BinaryIO, codec: Codec) -> None:
    """Raise ValueError or mutagen's errors where `edit` could not begin."""
    _checked_pages(file, codec)


def rest(path: Path, gone: Gone, codec: Codec) -> object:
    """The raw comments but the pictures that go, and the other headers."""
    with path.open("rb") as file:
        headers = _read(file, codec)
        later = list(_header_bytes(file, headers.pages[0].serial))
    prefix, further = headers.prefix, headers.further
    if codec.in_blocks:
        prefix, *further = (
            bytes([packet[0] & ~_LAST_BLOCK]) + packet[1:]
            for packet in _without_blocks([prefix[:1], *further], gone)
        )
    return prefix, headers.comments.without(gone), b"".join([*further, *later])


def _block_picture(packet: bytes) -> EmbeddedPicture | None:
    is_picture = packet[:1] and packet[0] & ~_LAST_BLOCK == _PICTURE_BLOCK
    return picture_in(packet[_BLOCK_HEAD:]) if is_picture else None


def _without_blocks(packets: list[bytes], gone: Gone) -> list[bytes]:
    """The blocks but some pictures; if one of them was marked as the last one, the last is."""
    kept = [p for p in packets if (picture := _block_picture(p)) is None or not gone(picture)]
    if len(kept) < len(packets) and packets[-1][0] & _LAST_BLOCK:
        kept[-1] = bytes([kept[-1][0] | _LAST_BLOCK]) + kept[-1][1:]
    return kept


def _count_blocks(file: BinaryIO, first: OggPage, count: int) -> None:
    """Tell in a stream's first page how many blocks follow, unless it does not say."""
    packet = bytearray(first.packets[0])
    if any(packet[_BLOCK_COUNT]):
        packet[_BLOCK_COUNT] = count.to_bytes(2, "big")
        first.packets[0] = bytes(packet)
        file.seek(first.offset)
        file.write(first.write())


def _read(file: BinaryIO, codec: Codec) -> _Headers:
    """Raises ValueError as `_checked_pages`, and where the comments are damaged."""
    first, pages = _checked_pages(file, codec)
    packet, *further = OggPage.to_packets(pages, strict=True)
    prefix, body = packet[: codec.prefix_bytes], packet[codec.prefix_bytes :]
    return _Headers(first, pages, prefix, Comments.parse(body), further)


def _checked_pages(file: BinaryIO, codec: Codec) -> tuple[OggPage, list[OggPage]]:
    """Raises ValueError where audio shares a page with headers, or the headers have no end."""
    try:
        first, pages = _header_pages(file, codec)
    except EOFError as error:
        raise ValueError("its headers have no end") from error
    if pages[0].continued or pages[-1].position not in (0, _NO_PACKET_ENDS):
        raise ValueError("audio shares a page with the headers")
    return first, pages


def _header_pages(file: BinaryIO, codec: Codec) -> tuple[OggPage, list[OggPage]]:
    """The first page, and from where the comments begin to the first page that ends with a packet.

    In Ogg FLAC to the last block's. Raises EOFError where there are none.
    """
    first = OggPage(file)
    while not (first.first and first.packets and first.packets[0].startswith(codec.magic)):
        first = OggPage(file)
    pages: list[OggPage] = []
    while not _ends_headers(pages, codec):
        page = OggPage(file)
        if page.serial != first.serial:
            continue
        if pages and pages[-1].complete and page.packets[:1] and page.packets[0][:1] == _AUDIO:
            file.seek(page.offset)  # no block was marked as the last
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


def _replace(file: BinaryIO, old: list[OggPage], new: list[OggPage]) -> None:
    """Put pages in the place of others, and renumber those that follow in their stream.

    OggPage.replace stops at the first byte behind a file that is no page, such as an ID3v1 tag.
    """
    for number, page in enumerate(new, start=old[0].sequence):
        page.serial, page.sequence = old[0].serial, number
    new[0].first, new[-1].last = old[0].first, old[-1].last
    end = old[0].offset
    foreign = b""  # pages of other streams in between
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
    """Change the numbers of a stream's pages, from here on. A damaged page stays as it is."""
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
            if page.first:  # the next of a chain, which may have the same serial number
                return
            file.seek(start)
            if file.read(end - start) == page.write():
                page.sequence += by
                file.seek(start)
                file.write(page.write())
        start = end


def _next_page(file: BinaryIO, start: int) -> int | None:
    """Where the next page begins, or seems to; None where there is none."""
    file.seek(start)
    overlap = b""
    while block := file.read(_SEARCHED_BYTES):
        found = (overlap + block).find(b"OggS")
        if found >= 0:
            return start - len(overlap) + found
        start += len(block)
        overlap = block[-3:]
    return None
