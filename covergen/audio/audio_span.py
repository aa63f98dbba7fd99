"""Find the audio in a file, between the tags before and after it.

Sources: id3.org (ID3v2.4.0 structure, ID3v1, Lyrics3 v2.00); wiki.hydrogenaudio.org (APEv2).
"""

import os
import struct
from typing import BinaryIO

_APE_HAS_HEADER = 1 << 31
_ID3_HAS_FOOTER = 1 << 4


def sound_span(file: BinaryIO) -> tuple[int, int]:
    """Return the byte offsets of the start and end of the audio in an open file.

    Tags inside a container are part of that range.
    """
    start, end = 0, file.seek(0, os.SEEK_END)
    while size := _leading_tag(_read(file, start, min(start + 10, end))):
        start = min(start + size, end)
    while size := _trailing_tag(_read(file, max(end - 128, start), end)):
        end = max(end - size, start)
    return start, end


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def _leading_tag(head: bytes) -> int:
    """Return the size of the ID3v2 tag that starts with these 10 bytes, 0 if there is none."""
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 127:
        return 0
    size = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return 10 + size + (10 if head[5] & _ID3_HAS_FOOTER else 0)


def _trailing_tag(tail: bytes) -> int:
    """Return the size of the tag that ends with these 128 bytes, 0 if there is none."""
    if len(tail) == 128 and tail.startswith(b"TAG"):
        return 128
    if tail[-32:-24] == b"APETAGEX":
        size, _, flags = struct.unpack_from("<3I", tail, len(tail) - 20)
        return int(size) + (32 if flags & _APE_HAS_HEADER else 0)
    if tail.endswith(b"LYRICS200") and tail[-15:-9].isdigit():
        return int(tail[-15:-9]) + 15
    return 0
