"""Cache of scanned files, so that unchanged files are not opened again."""

import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from covergen.core.album import Outcome, Track
from covergen.core.app_folders import cache_folder
from covergen.core.database import CacheDatabase, Usage, today, usage_of
from covergen.core.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A file that is damaged or not audio, with its size and mtime when it was scanned."""

    path: Path
    size: int
    mtime_ns: int
    reason: Reason
    message: str

    def outcome(self) -> Outcome:
        """The outcome that a run reports for this file."""
        return Outcome.failed(self.path, self.reason, self.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFile:
    """A file with a cover file's name: whether it is a picture, and its size and mtime then."""

    path: Path
    size: int
    mtime_ns: int
    is_image: bool


Seen = Track | Failure | PictureFile
"""A cached file."""

_OWN_COLUMNS = ("path", "size", "mtime_ns")
_TRACK_DETAILS = tuple(f.name for f in fields(Track) if f.name not in _OWN_COLUMNS)
_FAILURE_DETAILS = tuple(f.name for f in fields(Failure) if f.name not in _OWN_COLUMNS)
_PICTURE_DETAILS = tuple(f.name for f in fields(PictureFile) if f.name not in _OWN_COLUMNS)
_DETAILS = {Track: _TRACK_DETAILS, Failure: _FAILURE_DETAILS, PictureFile: _PICTURE_DETAILS}

_REASONS = {reason.value: reason for reason in Reason}

# Paths are bytes, because a name need not be text. mtime_ns is text, because it can exceed SQLite's
# integers. `details` is a JSON array of the other fields' values; its length distinguishes a Track,
# a Failure and a PictureFile. `used` is a day number.
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

_READER_VERSION = 4  # raise it when tags are read differently, so that files are read again


def _version() -> int:
    """Return a number that changes with the fields, so that old rows are not misread."""
    shape = repr((_READER_VERSION, _SCHEMA, *_DETAILS.values(), *_REASONS))
    return zlib.crc32(shape.encode()) & 0x7FFFFFFF


def remembered_files(path: Path | None = None) -> Usage:
    """Return how many files the cache contains and its size, without changing it."""
    return usage_of(path or cache_folder() / _NAME, "seen", _version())


class ScanCache(CacheDatabase):
    """The scan cache: tracks, failures and cover files by path, valid while size and mtime match.

    Closing it removes entries that no scan has used for 180 days.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(_NAME, _SCHEMA, _version(), path=path)

    def recall(self, folder: Path) -> dict[str, Seen]:
        """Return the cached files of a folder by name."""
        key, day = _folder_key(folder), today()
        query = "SELECT name, size, mtime_ns, details, used FROM seen WHERE folder = ?"
        rows = self.run(query, key) or ()
        if any(row[4] != day for row in rows):
            self.run("UPDATE seen SET used = ? WHERE folder = ?", day, key)
        try:
            # One call for all rows is faster.
            all_details = json.loads(f"[{','.join(row[3] for row in rows)}]")
            return {
                (name := os.fsdecode(row[0])): _seen(folder / name, row[1], int(row[2]), details)
                for row, details in zip(rows, all_details, strict=True)
            }
        except (KeyError, RecursionError, TypeError, ValueError):  # not written by covergen
            return {}

    def remember(self, *seen: Seen) -> None:
        """Cache files in one transaction."""
        self._write(
            "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?)", [_row(s) for s in seen]
        )

    def forget(self, *paths: Path) -> None:
        """Remove files in one transaction, so that the next scan reads them again."""
        self._write("DELETE FROM seen WHERE folder = ? AND name = ?", [_key(p) for p in paths])

    def prune(self, *, unused_days: int = _UNUSED_DAYS) -> int:
        """Remove files that no scan has used for `unused_days`. Returns their number."""
        query = "DELETE FROM seen WHERE used <= ? RETURNING 1"
        return len(self.run(query, today() - unused_days) or ())

    def forget_lost(self) -> int:
        """Remove files that no longer exist. Returns their number."""
        known = self.run("SELECT folder, name FROM seen") or ()
        lost = [key for key in known if not os.path.lexists(b"/".join(key))]
        self._write("DELETE FROM seen WHERE folder = ? AND name = ?", lost)
        return len(lost)

    def close(self) -> None:
        """Close the database."""
        self.prune()
        super().close()

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            self.run_all(*((statement, row) for row in rows))


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
