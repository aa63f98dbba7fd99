"""Compact instructions for restoring an old file from the new one.

A cover is inserted in one place of a file. The bytes before and after it stay or move as a whole,
but for a few numbers: sizes, offsets, the checksums of Ogg pages.
"""

import json
import os
import re
import zlib
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from covergen.library.formats.splice import splice

_MAX_BYTES = 32 << 20
_MAX_PATCHES = 1 << 20
_BLOCKS = 256 << 10, 4 << 10  # compared in large steps first, then in small ones
_MAX_PATCH = 64
_DIFFERENCE = re.compile(rb"[^\0]+(?:\0{1,8}[^\0]+)*")

_Patch = tuple[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal:
    """Restores an old file from the new one.

    The first `head` and the last `tail` bytes of the new file stay, and `middle` replaces all bytes
    between them. Then `patches`, offsets in the old file with bytes, are applied.
    """

    head: int
    tail: int
    middle: bytes
    patches: tuple[_Patch, ...] = ()

    def apply(self, path: Path) -> None:
        """Turn the new file at `path` into the old one, in place. Raises OSError, ValueError."""
        with path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END) - self.tail
            if end < self.head:
                raise ValueError("the file is shorter than its undo data requires")
            splice(file, self.head, end, self.middle)
            for offset, data in self.patches:
                file.seek(offset)
                file.write(data)

    def pack(self, known: bytes = b"") -> bytes:
        """Return it as compressed bytes. Occurrences of `known` in `middle` are omitted."""
        before, found, after = self.middle.partition(known) if known else (self.middle, b"", b"")
        head = {
            "head": self.head,
            "tail": self.tail,
            "before": len(before),
            "known": bool(found),
            "after": len(after),
            "patches": _gaps(self.patches),
        }
        parts = [json.dumps(head, separators=(",", ":")).encode(), b"\n", before, after]
        return zlib.compress(b"".join([*parts, *(data for _, data in self.patches)]))

    @classmethod
    def unpack(cls, data: bytes, known: bytes = b"") -> "Reversal":
        """Parse the result of `pack`. Raises ValueError if it is damaged."""
        try:
            line, _, body = zlib.decompress(data).partition(b"\n")
            head = json.loads(line)
            start, end = head["before"], head["before"] + head["after"]
            before, after, rest = body[:start], body[start:end], body[end:]
            return cls(
                head=head["head"],
                tail=head["tail"],
                middle=before + (known if head["known"] else b"") + after,
                patches=_patches_at(head["patches"], rest),
            )
        except (zlib.error, KeyError, TypeError) as error:
            raise ValueError("the undo data is damaged") from error


def find_reversal(old: Path, new: Path) -> Reversal | None:
    """Find the reversal from `new` to `old`; None if it is too large to keep. Raises OSError."""
    with old.open("rb") as old_file, new.open("rb") as new_file:
        sizes = old_file.seek(0, os.SEEK_END), new_file.seek(0, os.SEEK_END)

        def from_start(at: int, length: int) -> tuple[int, bytes, bytes]:
            return at, _read(old_file, at, length), _read(new_file, at, length)

        def from_end(at: int, length: int) -> tuple[int, bytes, bytes]:
            start, new_start = (size - at - length for size in sizes)
            return start, _read(old_file, start, length), _read(new_file, new_start, length)

        head, patches = _common_length(from_start, min(sizes), _common_start)
        tail, more = _common_length(from_end, min(sizes) - head, _common_end)
        length = sizes[0] - head - tail
        if length > _MAX_BYTES or len(patches) + len(more) > _MAX_PATCHES:
            return None
        middle = _read(old_file, head, length)
    return Reversal(head=head, tail=tail, middle=middle, patches=(*patches, *sorted(more)))


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)


def _common_length(
    read: Callable[[int, int], tuple[int, bytes, bytes]],
    limit: int,
    common: Callable[[bytes, bytes], int],
) -> tuple[int, list[_Patch]]:
    """Return how many bytes two files share from one end, and the patches within those bytes."""
    at = 0
    patches: list[_Patch] = []
    for size in _BLOCKS:
        while length := min(size, limit - at):
            offset, old, new = read(at, length)
            found = _patches(offset, old, new)
            if found is None:
                break
            patches += found
            at += length
    _, old, new = read(at, min(_BLOCKS[-1], limit - at))
    return at + common(old, new), patches


def _patches(offset: int, old: bytes, new: bytes) -> list[_Patch] | None:
    """Return the patches that turn `new` into `old`; None if more than numbers differ."""
    if old == new:
        return []
    length = len(old)
    number = int.from_bytes(old, "little") ^ int.from_bytes(new, "little")
    difference = number.to_bytes(length, "little")
    if difference.count(0) < length // 2:
        return None
    patches = []
    for start, end in (found.span() for found in _DIFFERENCE.finditer(difference)):
        if end - start > _MAX_PATCH:
            return None
        patches.append((offset + start, old[start:end]))
    return patches


def _common_start(old: bytes, new: bytes) -> int:
    return bisect_left(range(len(old)), True, key=lambda last: old[: last + 1] != new[: last + 1])


def _common_end(old: bytes, new: bytes) -> int:
    return _common_start(old[::-1], new[::-1])


def _gaps(patches: tuple[_Patch, ...]) -> list[int]:
    """Alternate offsets, relative to the end of the previous patch, and lengths."""
    numbers, end = [], 0
    for offset, data in patches:
        numbers += [offset - end, len(data)]
        end = offset + len(data)
    return numbers


def _patches_at(numbers: list[int], data: bytes) -> tuple[_Patch, ...]:
    patches, end, at = [], 0, 0
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        patches.append((end + gap, data[at : at + length]))
        end += gap + length
        at += length
    return tuple(patches)
