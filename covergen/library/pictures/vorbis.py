"""The front cover in Ogg streams, which carry it in their Vorbis comments.

Sources: RFC 3533 (Ogg), RFC 7845 (Opus), RFC 9639 section 10.1 (FLAC), Vorbis I, the Speex manual.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import mutagen.ogg
from mutagen.ogg import OggPage

from covergen.core.errors import WriteError
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.library.pictures.comments import Comments
from covergen.library.pictures.embedded import Gone
from covergen.library.pictures.splice import splice

__all__ = ["OGG_FLAC", "OPUS", "SPEEX", "VORBIS", "Codec", "check", "edit", "rest"]

_PAGE_BYTES = 254 * 255  # a page's 255 lacing values, less one to end a packet
_NO_PACKET_ENDS = -1
_SEARCHED_BYTES = 64 << 10


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


def edit(path: Path, gone: Gone, new: Picture | None, codec: Codec) -> str:
    """Take pictures out; make `new` the first of them. A legacy COVERART is a front cover.

    Raises WriteError where it is larger than the packet can be (Ogg FLAC).
    """
    with path.open("r+b") as file:
        old = _read(file, codec)
        kept = old.comments.without(gone)
        body = (kept.with_front_cover(new) if new else kept).join()
        prefix = old.prefix
        if codec.sized:
            if len(body) >= 1 << 24:
                raise WriteError(path, Reason.TOO_LARGE, "Ogg FLAC's tags are below 16 MiB")
            prefix = prefix[:-3] + len(body).to_bytes(3, "big")
        packets = (prefix + body, *old.further)
        pages = [page for packet in packets for page in _paginate(packet)]
        _replace(file, old.pages, pages)
    return ""


def check(file: BinaryIO, codec: Codec) -> None:
    """Raise ValueError or mutagen's errors where `edit` could not begin."""
    _checked_pages(file, codec)


def rest(path: Path, gone: Gone, codec: Codec) -> object:
    """The raw comments but the pictures that go, and the other headers."""
    with path.open("rb") as file:
        headers = _read(file, codec)
        further = b"".join([*headers.further, *_header_bytes(file, headers.pages[0].serial)])
    prefix = headers.prefix[:-3] if codec.sized else headers.prefix
    return prefix, headers.comments.without(gone), further


def _read(file: BinaryIO, codec: Codec) -> _Headers:
    """Raises ValueError as `_checked_pages`, and where the comments are damaged."""
    pages = _checked_pages(file, codec)
    first, *further = OggPage.to_packets(pages, strict=True)
    prefix, body = first[: codec.prefix_bytes], first[codec.prefix_bytes :]
    return _Headers(pages, prefix, Comments.parse(body), further)


def _checked_pages(file: BinaryIO, codec: Codec) -> list[OggPage]:
    """Raises ValueError where audio shares a page with headers, or the headers have no end."""
    try:
        pages = _header_pages(file, codec)
    except EOFError as error:
        raise ValueError("its headers have no end") from error
    if pages[0].continued or pages[-1].position not in (0, _NO_PACKET_ENDS):
        raise ValueError("audio shares a page with the headers")
    return pages


def _header_pages(file: BinaryIO, codec: Codec) -> list[OggPage]:
    """From the page on which the comments begin to the first that ends with a packet.

    Raises EOFError where there are none.
    """
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
