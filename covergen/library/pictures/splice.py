"""Putting other bytes in the place of some, in an open file."""

import os
from typing import BinaryIO

__all__ = ["outside", "padding", "splice"]

_BLOCK = 256 << 10  # so many fit into a processor's cache
_KEPT_PADDING = 64 << 10
_NEW_PADDING = 2 << 10


def splice(file: BinaryIO, start: int, end: int, data: bytes) -> None:
    """Replace the bytes [start, end) by `data`; what follows moves."""
    size = file.seek(0, os.SEEK_END)
    _move(file, end, start + len(data), size - end)
    file.seek(start)
    file.write(data)
    file.truncate(size + len(data) - (end - start))


def _move(file: BinaryIO, source: int, target: int, length: int) -> None:
    if source == target:
        return
    offsets = range(0, length, _BLOCK)
    # Never over bytes that are still to be read: moving back, the last block goes first.
    for offset in reversed(offsets) if target > source else offsets:
        file.seek(source + offset)
        block = file.read(min(_BLOCK, length - offset))
        file.seek(target + offset)
        file.write(block)


def padding(spare: int, *, least: int = 0) -> int:
    """How much padding to write where `spare` bytes of the old room are left over (or lack).

    The spare bytes where they are neither fewer than `least` nor a waste, since then nothing has
    to move; otherwise a little, for the next tagger.
    """
    return spare if spare == 0 or least <= spare <= _KEPT_PADDING else _NEW_PADDING


def outside(
    file: BinaryIO, start: int, end: int, reach: int = 64 << 10
) -> tuple[int, bytes, bytes]:
    """What lies around [start, end): how many bytes, and those within `reach` on either side."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, start - reach))
    before = file.read(min(start, reach))
    file.seek(end)
    after = file.read(reach)
    file.seek(max(end, size - reach))
    return size - (end - start), before, after + file.read(reach)
