"""Replace a range of bytes in an open file."""

import os
from typing import BinaryIO

_BLOCK = 256 << 10  # fits into the CPU cache
_KEPT_PADDING = 64 << 10
_NEW_PADDING = 2 << 10


def splice(file: BinaryIO, start: int, end: int, data: bytes) -> None:
    """Replace the bytes [start, end) with `data` and move what follows."""
    size = file.seek(0, os.SEEK_END)
    _move(file, end, start + len(data), size - end)
    file.seek(start)
    file.write(data)
    file.truncate(size + len(data) - (end - start))


def _move(file: BinaryIO, source: int, target: int, length: int) -> None:
    if source == target:
        return
    offsets = range(0, length, _BLOCK)
    # When moving towards the end, start with the last block, so as not to overwrite unread bytes.
    for offset in reversed(offsets) if target > source else offsets:
        file.seek(source + offset)
        block = file.read(min(_BLOCK, length - offset))
        file.seek(target + offset)
        file.write(block)


def padding(spare: int, *, minimum: int = 0) -> int:
    """Return how much padding to write if `spare` bytes (or fewer than 0) of the old space remain.

    Uses the spare bytes if they are at least `minimum` and not too many, so that nothing has to
    move; otherwise a little padding for the next tagger.
    """
    return spare if spare == 0 or minimum <= spare <= _KEPT_PADDING else _NEW_PADDING


def outside(
    file: BinaryIO, start: int, end: int, reach: int = 64 << 10
) -> tuple[int, bytes, bytes]:
    """Return the number of bytes outside [start, end), and those within `reach` on either side."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, start - reach))
    before = file.read(min(start, reach))
    file.seek(end)
    after = file.read(reach)
    file.seek(max(end, size - reach))
    return size - (end - start), before, after + file.read(reach)
