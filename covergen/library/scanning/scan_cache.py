"""What earlier scans saw, so that a file that has not changed is not opened again."""

import contextlib
import json
import os
import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from covergen.core.database import Usage, open_cache, today, usage_of
from covergen.core.paths import cache_folder
from covergen.core.reasons import Reason
from covergen.core.types import Outcome, Status, Track

__all__ = ["Failure", "PictureFile", "ScanMemory", "Seen", "remembered_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A file that is no music, or is damaged: why, and what it was when that was found."""

    path: Path
    size: int
    mtime_ns: int
    reason: Reason
    message: str

    def outcome(self) -> Outcome:
        """What becomes of it in a run."""
        return Outcome(
            path=self.path, status=Status.FAILED, reason=self.reason, message=self.message
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFile:
    """A file called as cover files are: whether it is a picture, and what it was when seen."""

    path: Path
    size: int
    mtime_ns: int
    is_image: bool


Seen = Track | Failure | PictureFile
"""What is remembered of a file."""

_OWN_COLUMNS = ("path", "size", "mtime_ns")
_TRACK_DETAILS = tuple(f.name for f in fields(Track) if f.name not in _OWN_COLUMNS)
_FAILURE_DETAILS = tuple(f.name for f in fields(Failure) if f.name not in _OWN_COLUMNS)
_PICTURE_DETAILS = tuple(f.name for f in fields(PictureFile) if f.name not in _OWN_COLUMNS)
_DETAILS = {Track: _TRACK_DETAILS, Failure: _FAILURE_DETAILS, PictureFile: _PICTURE_DETAILS}

_REASONS = {reason.value: reason for reason in Reason}

# Paths are bytes: a name need not be text. mtime_ns is text: file systems know times that SQLite's
# integers do not. `details` is JSON: the values of the other fields, of a Track, or of a Failure or
# PictureFile, which have fewer. `used`: a day.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (
    folder BLOB NOT NULL,
    name BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns TEXT NOT NULL,
    details TEXT NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (folder, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_by_use ON seen (used);
"""

_NAME = "scan.sqlite"
_UNUSED_DAYS = 180

_READING = 3  # to be raised when tags are read differently, so that files are read anew


def _version() -> int:
    """Another one whenever the fields change, so that old rows are never taken for new."""
    shape = repr((_READING, _SCHEMA, *_DETAILS.values(), *_REASONS))
    return zlib.crc32(shape.encode()) & 0x7FFFFFFF


def remembered_files(path: Path | None = None) -> Usage:
    """What the memory holds; a row is a file. Changes nothing."""
    return usage_of(path or cache_folder() / _NAME, "seen", _version())


class ScanMemory:
    """What was seen of each file, for as long as its size and mtime stay as they were.

    Used by one thread at a time. A memory that cannot be written or read only costs the next scan
    its speed, and is never an error. What no scan came by for long is forgotten at the end.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._rows = open_cache(_NAME, _SCHEMA, _version(), path=path)

    def recall(self, folder: Path) -> dict[str, Seen]:
        """What is remembered of the files in a folder, by their names."""
        try:
            rows = self._rows.execute(
                "SELECT name, size, mtime_ns, details, used FROM seen WHERE folder = ?",
                (_folder_key(folder),),
            ).fetchall()
        except sqlite3.DatabaseError:
            return {}
        day = today()
        if any(row[4] != day for row in rows):
            used = "UPDATE seen SET used = ? WHERE folder = ?"
            self._write(used, [(day, _folder_key(folder))])
        try:
            # Not one by one: faster.
            all_details = json.loads(f"[{','.join(row[3] for row in rows)}]")
            return {
                (name := os.fsdecode(row[0])): _seen(folder / name, row[1], int(row[2]), details)
                for row, details in zip(rows, all_details, strict=True)
            }
        except (KeyError, RecursionError, TypeError, ValueError):  # what covergen never wrote
            return {}

    def remember(self, *seen: Seen) -> None:
        """Keep what was seen of files, in one transaction."""
        self._write(
            "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?)", [_row(s) for s in seen]
        )

    def forget(self, *paths: Path) -> None:
        """Have these files read anew by the next scan, in one transaction."""
        self._write("DELETE FROM seen WHERE folder = ? AND name = ?", [_key(p) for p in paths])

    def prune(self, *, unused_days: int = _UNUSED_DAYS) -> int:
        """Forget files that no scan came by for so long. Returns how many went."""
        with contextlib.suppress(sqlite3.DatabaseError), self._rows:
            query = "DELETE FROM seen WHERE used <= ?"
            return self._rows.execute(query, (today() - unused_days,)).rowcount
        return 0

    def forget_lost(self) -> int:
        """Forget files that are not where they were. Returns how many went."""
        with contextlib.suppress(sqlite3.DatabaseError):
            known = self._rows.execute("SELECT folder, name FROM seen").fetchall()
            lost = [key for key in known if not os.path.lexists(b"/".join(key))]
            self._write("DELETE FROM seen WHERE folder = ? AND name = ?", lost)
            return len(lost)
        return 0

    def compact(self) -> None:
        """Give the room of what was forgotten back to the disk."""
        with contextlib.suppress(sqlite3.DatabaseError):
            self._rows.execute("VACUUM")

    def close(self) -> None:
        """Close the database."""
        self.prune()
        self._rows.close()

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            with contextlib.suppress(sqlite3.DatabaseError), self._rows:
                self._rows.executemany(statement, rows)


def _folder_key(folder: Path) -> bytes:
    return os.fsencode(folder.absolute())


def _key(path: Path) -> tuple[bytes, bytes]:
    return _folder_key(path.parent), os.fsencode(path.name)


def _row(seen: Seen) -> tuple[object, ...]:
    details = json.dumps([getattr(seen, name) for name in _DETAILS[type(seen)]])
    return (*_key(seen.path), seen.size, str(seen.mtime_ns), details, today())


def _seen(path: Path, size: int, mtime_ns: int, details: Sequence[Any]) -> Seen:
    if len(details) == len(_FAILURE_DETAILS):
        code, message = details
        reason = _REASONS[code]
        return Failure(path=path, size=size, mtime_ns=mtime_ns, reason=reason, message=message)
    if len(details) == len(_PICTURE_DETAILS):
        return PictureFile(path=path, size=size, mtime_ns=mtime_ns, is_image=details[0])
    values = dict(zip(_TRACK_DETAILS, details, strict=True))
    return Track(path=path, size=size, mtime_ns=mtime_ns, **values)
