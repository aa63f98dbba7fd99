"""The structure of Matroska and WebM files: one segment, with its top-level elements.

Source: RFC 9559.
"""

import os
from dataclasses import dataclass
from typing import BinaryIO

from covergen.library.formats.ebml import CRC, Element, head_at, parts_of, read_bytes

MAGIC = bytes.fromhex("1a45dfa3")
"""The first bytes of a file: the ID of its EBML header."""

SEEK_HEAD = bytes.fromhex("114d9b74")
INFO = bytes.fromhex("1549a966")
TRACKS = bytes.fromhex("1654ae6b")
TAGS_LIST = bytes.fromhex("1254c367")
ATTACHMENTS = bytes.fromhex("1941a469")
CLUSTER = bytes.fromhex("1f43b675")
CUES = bytes.fromhex("1c53bb6b")
_CHAPTERS = bytes.fromhex("1043a770")
_SEGMENT = bytes.fromhex("18538067")

# These end a cluster of unknown size.
_TOP_LEVEL = (
    MAGIC, _SEGMENT, SEEK_HEAD, INFO, TRACKS, _CHAPTERS, TAGS_LIST, ATTACHMENTS, CLUSTER, CUES,
)  # fmt: skip

_DOC_TYPE = bytes.fromhex("4282")
_DOC_TYPES = (b"matroska", b"webm")
_HEADER_BYTES = 80

MAX_TEXT_BYTES = 64 << 10
"""Longer elements are not read as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The offsets of the segment's size field, its body and its end, and its top-level elements.

    Positions are relative to `body`. `size` is None if it is unknown, as in a live stream.
    """

    size_at: int
    body: int
    end: int
    size: int | None
    elements: tuple[Element, ...]

    def all(self, name: bytes) -> list[Element]:
        """The top-level elements with this ID."""
        return [item for item in self.elements if item.id == name]

    def bodies(self, file: BinaryIO, name: bytes) -> list[bytes]:
        """Read the bodies of all top-level elements with this ID."""
        return [item.read(file) for item in self.all(name)]


def begins(head: bytes) -> bool:
    """Whether a file is Matroska or WebM. Source: RFC 9559, section 5.1.1."""
    # The DocType is in a header of variable order.
    header = head[:_HEADER_BYTES]
    return head.startswith(MAGIC) and any(kind in header for kind in _DOC_TYPES)


def read_segment(file: BinaryIO) -> Segment:
    """Read the structure. Raises ValueError if the file is not Matroska or is damaged."""
    end = file.seek(0, os.SEEK_END)
    name, body, size = head_at(file, 0)
    if name != MAGIC or size is None or size > MAX_TEXT_BYTES:
        raise ValueError("the EBML header is missing")
    doc_type = parts_of(read_bytes(file, body, body + size), _DOC_TYPE)[:1]
    if [text.rstrip(b"\0") for text in doc_type] not in [[kind] for kind in _DOC_TYPES]:
        raise ValueError("the DocType is neither matroska nor webm")
    start = body + size
    name, body, size = head_at(file, start)
    if name != _SEGMENT:
        raise ValueError("the segment is missing")
    if size is not None and body + size > end:
        raise ValueError("the end of the file is missing")
    elements, end = _top_level(file, body, end if size is None else body + size, size is None)
    return Segment(
        size_at=start + len(_SEGMENT), body=body, end=end, size=size, elements=tuple(elements)
    )


def _top_level(file: BinaryIO, start: int, end: int, streamed: bool) -> tuple[list[Element], int]:
    """Return the top-level elements of a segment, and its end.

    A streamed segment ends with the file or before the next EBML header, possibly in mid-cluster.
    """
    elements: list[Element] = []
    while start < end:
        name, body, size = head_at(file, start)
        if name == MAGIC:
            return elements, start
        if name == CRC:
            raise ValueError("a checksum over the whole segment is not supported")
        if name == CLUSTER and size is None:
            following = _end_of_cluster(file, body, end)
        elif size is None:
            raise ValueError("an element has unknown size and is not a cluster")
        else:
            following = body + size
        if following > end:
            if name != CLUSTER or not streamed:
                raise ValueError("an element runs past the end of the file")
            following = end
        elements.append(Element(name, start, body, following))
        start = following
    return elements, end


def _end_of_cluster(file: BinaryIO, start: int, end: int) -> int:
    while start < end:
        name, body, size = head_at(file, start)
        if name in _TOP_LEVEL:
            break
        if size is None:
            raise ValueError("an element within a cluster has unknown size")
        start = body + size
    return min(start, end)
