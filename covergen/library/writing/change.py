"""A record of one write to one file, sufficient to undo it."""

import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from covergen.core.album import Track
from covergen.library.writing.reversal import Reversal

NOTHING = ""
"""The fingerprint of a file that does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A file's size in bytes and its modification time."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """The stamp of a file with this status."""
        return cls(size=status.st_size, mtime_ns=status.st_mtime_ns)


NO_STAMP = Stamp(size=0, mtime_ns=0)
"""The stamp of a file that does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A file that is about to be written.

    `path` is the file itself, not a link to it. `before` and `after` are its fingerprints, or
    NOTHING. `reversal` restores the old file from the new one, if there was an old one. `picture`
    is the cover that is removed, or b"". `container` is "" for a cover file.
    """

    path: Path
    before: str
    after: str
    stamp_before: Stamp = NO_STAMP
    stamp_after: Stamp = NO_STAMP
    container: str = ""
    reversal: Reversal | None = None
    picture: bytes = b""


Record = Callable[[Change], AbstractContextManager[None]]
"""Records a change in the journal: the context is entered before the change and left after it."""


def stamp_of(track: Track) -> Stamp:
    """The stamp of a track's file when it was scanned."""
    return Stamp(size=track.size, mtime_ns=track.mtime_ns)


def file_hash(path: Path) -> str:
    """SHA-256 of all bytes of a file, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_hash(data: bytes) -> str:
    """SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
