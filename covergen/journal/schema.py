"""The journal's tables, and conversions between rows and dataclasses."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covergen.core.album import Album
from covergen.core.cover import Provenance
from covergen.library.writing.change import Stamp

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from covergen.library.writing.change import Change


# Paths are BLOBs: file names need not be valid text. mtimes are TEXT: they may exceed SQLite's
# integers. Tags are stored as ASCII JSON: they need not be valid Unicode.
_FIRST = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    action TEXT NOT NULL,
    roots TEXT NOT NULL,
    settings TEXT NOT NULL,
    version TEXT NOT NULL,
    started REAL NOT NULL,
    finished REAL
);
CREATE TABLE IF NOT EXISTS albums (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    identity TEXT NOT NULL,
    details TEXT NOT NULL,
    provenance TEXT,
    finished INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (run, identity)
);
CREATE TABLE IF NOT EXISTS pictures (hash TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS writes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    album INTEGER NOT NULL,
    state TEXT NOT NULL,
    path BLOB NOT NULL,
    container TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    audio TEXT NOT NULL,
    size_before INTEGER NOT NULL,
    mtime_before TEXT NOT NULL,
    size_after INTEGER NOT NULL,
    mtime_after TEXT NOT NULL,
    reversal BLOB,
    picture TEXT,
    undone_by INTEGER
);
CREATE INDEX IF NOT EXISTS writes_by_album ON writes (album);
CREATE INDEX IF NOT EXISTS writes_by_path ON writes (path);
CREATE INDEX IF NOT EXISTS writes_by_undo ON writes (undone_by);
CREATE INDEX IF NOT EXISTS writes_planned ON writes (id) WHERE state = 'planned';
"""

MIGRATIONS = (
    _FIRST,
    "ALTER TABLE writes DROP COLUMN audio",  # never read
)
"""The SQL that leads from each version of the journal to the next. Append only."""

RUNS = """
SELECT id, action, roots, settings, version, started, finished,
    (SELECT count(*) FROM albums WHERE run = runs.id),
    CASE action WHEN 'undo' THEN (SELECT count(*) FROM writes WHERE undone_by = runs.id)
        ELSE (SELECT count(*) FROM albums JOIN writes ON album = albums.id WHERE run = runs.id) END,
    (SELECT coalesce(sum(failed), 0) FROM albums WHERE run = runs.id),
    (SELECT count(*) FROM albums JOIN writes ON album = albums.id
        WHERE run = runs.id AND state = 'undone')
FROM runs
"""

WRITES = """
SELECT writes.id, run, details, provenance, state, path, container, before, after,
    size_before, mtime_before, size_after, mtime_after
FROM writes JOIN albums ON album = albums.id
"""


class WriteState(StrEnum):
    """The state of a write. Whether a planned one was done, only its file shows."""

    PLANNED = "planned"
    DONE = "done"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that wrote, or tried to.

    `started` and `finished` are seconds since 1970; `finished` is None if it was interrupted or is
    still running. `albums` counts the albums it worked on, `written` and `failed` files, and
    `undone` those of the written files that have been restored. `undoes` is the id of the run that
    it undid.
    """

    id: int
    action: str
    roots: tuple[Path, ...]
    settings: Mapping[str, Any]
    version: str
    started: float
    finished: float | None
    undoes: int | None
    albums: int
    written: int
    failed: int
    undone: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write of a file by a run. See `Change` for the fields with the same names.

    `album` has no tracks. `provenance` is None if the run did not paint the picture.
    """

    id: int
    run: int
    album: Album
    provenance: Provenance | None
    state: WriteState
    path: Path
    container: str
    before: str
    after: str
    stamp_before: Stamp
    stamp_after: Stamp


def run_of(row: tuple[Any, ...]) -> Run:
    """Convert a row of RUNS. Raises ValueError, KeyError or TypeError if it is invalid."""
    number, action, roots, settings, version, started, finished, *counts = row
    albums, written, failed, undone = counts
    settings = json.loads(settings)
    return Run(
        id=number,
        action=action,
        roots=tuple(map(Path, json.loads(roots))),
        settings=settings,
        version=version,
        started=started,
        finished=finished,
        undoes=settings.get("undoes"),
        albums=albums,
        written=written,
        failed=failed,
        undone=undone,
    )


def write_of(row: tuple[Any, ...]) -> Write:
    """Convert a row of WRITES. Raises ValueError, KeyError or TypeError if it is invalid."""
    number, run, details, provenance, state, path, container, before, after, *stamps = row
    details = json.loads(details)
    return Write(
        id=number,
        run=run,
        album=Album(**details | {"folder": Path(details["folder"]), "tracks": ()}),
        provenance=_provenance(json.loads(provenance)) if provenance else None,
        state=WriteState(state),
        path=Path(os.fsdecode(path)),
        container=container,
        before=before,
        after=after,
        stamp_before=Stamp(size=stamps[0], mtime_ns=int(stamps[1])),
        stamp_after=Stamp(size=stamps[2], mtime_ns=int(stamps[3])),
    )


def _provenance(values: Mapping[str, Any]) -> Provenance:
    known = {field.name for field in fields(Provenance)}  # a later version may have added others
    return Provenance(**{name: value for name, value in values.items() if name in known})


def album_row(album: Album) -> tuple[str, str]:
    """Return what identifies an album within a run, and its details, both as JSON."""
    details = {
        "key": album.key,
        "folder": str(album.folder),
        "title": album.title,
        "artist": album.artist,
        "date": album.date,
    }
    return as_json([album.key, str(album.folder)]), as_json(details)


def change_row(change: Change) -> tuple[object, ...]:
    """Return the columns from `path` to `mtime_after`."""
    before, after = change.stamp_before, change.stamp_after
    return (
        os.fsencode(change.path),
        change.container,
        change.before,
        change.after,
        before.size,
        str(before.mtime_ns),
        after.size,
        str(after.mtime_ns),
    )


def as_json(value: object) -> str:
    """Return canonical JSON: paths become strings, dataclasses objects, keys are sorted."""
    return json.dumps(value, default=_plain, sort_keys=True)


def _plain(value: DataclassInstance | Path) -> object:
    return str(value) if isinstance(value, Path) else asdict(value)
