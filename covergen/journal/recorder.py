"""Records a run in the journal."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import covergen
from covergen.core.album import Album, Track
from covergen.core.cover import Provenance
from covergen.core.errors import JournalError
from covergen.journal.schema import WriteState, album_row, as_json, change_row
from covergen.library.writing.change import bytes_hash, stamp_of

if TYPE_CHECKING:
    from covergen.journal.journal import Journal
    from covergen.journal.schema import Write
    from covergen.library.writing.change import Change, Record


class RunRecorder:
    """A run being recorded; it enters the journal with its first write.

    Continues the last run with the same action, roots and settings if that one was interrupted.
    Every method may raise JournalError.
    """

    def __init__(
        self,
        journal: Journal,
        action: str,
        roots: tuple[Path, ...],
        settings: Mapping[str, object],
    ) -> None:
        self._journal = journal
        self._command = (action, as_json([str(root) for root in roots]), as_json(settings))
        self._done: list[int] = []
        self._last, interrupted = self._last_run()
        self._id = self._last if interrupted else None
        self._resumed = self._id is not None

    def record(self, album: Album, provenance: Provenance | None = None) -> Record:
        """Return the context manager that records each write of an album with this provenance."""
        return partial(self._recorded, album, provenance)

    def check_writable(self) -> None:
        """Raise JournalError if this run is known to be impossible to record."""
        self._journal.check_writable()

    def undo(self, *writes: Write) -> None:
        """Record that this run undid these writes, if any."""
        if not writes:
            return
        with self._journal.transaction() as rows:
            number = self._run_id(rows)
        self._journal.settle(*writes, state=WriteState.UNDONE, by=number)

    def finish_album(self, album: Album, *, failed: int, complete: bool) -> None:
        """Record that an album is finished; `failed` of its files could not be written.

        An album that is not `complete` is tried again when the run is resumed.
        """
        with self._journal.transaction() as rows:
            self._mark_done(rows)
            values = (complete, failed, self._album_id(rows, album))
            rows.execute("UPDATE albums SET finished = ?, failed = ? WHERE id = ?", values)

    def has_finished(self, album: Album) -> bool:
        """Whether this run completed the album before it was interrupted, and it is unchanged."""
        identity, _ = album_row(album)
        query = "SELECT finished FROM albums WHERE run = ? AND identity = ?"
        finished = self._resumed and (1,) in self._journal.read(query, self._id, identity)
        return finished and all(
            write.stamp_after == stamp_of(track)
            for track in album.tracks
            for write in self._own_writes(track)[:1]
        )

    def was_left_unfinished(self, album: Album) -> bool:
        """Whether the last run of this command wrote to the album and did not complete it."""
        identity, _ = album_row(album)
        query = "SELECT finished FROM albums WHERE run = ? AND identity = ?"
        return (0,) in self._journal.read(query, self._last, identity)

    def stop(self) -> None:
        """Record the writes that were done; the run can be resumed later."""
        if self._done:
            with self._journal.transaction() as rows:
                self._mark_done(rows)

    def finish(self) -> None:
        """Record the end of the run, and prune the journal."""
        self.stop()
        if self._id is None:
            self._record_empty_run()
        else:
            with self._journal.transaction() as rows:
                values = (time.time(), self._id)
                rows.execute("UPDATE runs SET finished = ? WHERE id = ?", values)
            self._journal.prune()

    def _record_empty_run(self) -> None:
        """Record a run without writes, so that `undo` does not take an older one for the last.

        Only the latest one is kept, and none if there is nothing to undo.
        """
        action = self._command[0]
        if action == "undo" or not self._journal.left_to_undo():
            return
        forget = (
            "DELETE FROM runs WHERE action != 'undo' AND finished IS NOT NULL"
            " AND id NOT IN (SELECT run FROM albums)"
        )
        query = (
            "INSERT INTO runs (action, roots, settings, version, started, finished)"
            " VALUES (?, ?, ?, ?, ?, ?)"
        )
        values = (*self._command, covergen.__version__, time.time(), time.time())
        with suppress(JournalError), self._journal.transaction() as rows:
            rows.execute(forget)
            rows.execute(query, values)

    def _own_writes(self, track: Track) -> list[Write]:
        """Return what this run wrote to a file before it was interrupted, latest first."""
        history = self._journal.history(track.path) if self._resumed else []
        return [write for write in history if write.run == self._id]

    def _last_run(self) -> tuple[int | None, bool]:
        """Return the last run of this command, and whether it was interrupted and not undone."""
        query = (
            "SELECT id, finished IS NULL AND NOT EXISTS (SELECT 1 FROM albums JOIN writes"
            " ON album = albums.id WHERE run = runs.id AND state = 'undone')"
            " FROM runs WHERE (action, roots, settings) = (?, ?, ?) ORDER BY id DESC LIMIT 1"
        )
        found = self._journal.read(query, *self._command)
        return (found[0][0], bool(found[0][1])) if found else (None, False)

    @contextmanager
    def _recorded(
        self, album: Album, provenance: Provenance | None, change: Change
    ) -> Iterator[None]:
        picture = bytes_hash(change.picture) if change.picture else None
        packed = change.reversal.pack(change.picture) if change.reversal else None
        with self._journal.transaction() as rows:
            self._mark_done(rows)
            number = self._album_id(rows, album, provenance)
            if picture:
                row = (picture, change.picture)
                rows.execute("INSERT OR IGNORE INTO pictures VALUES (?, ?)", row)
            query = (
                "INSERT INTO writes (album, state, path, container, before, after, size_before,"
                " mtime_before, size_after, mtime_after, reversal, picture)"
                " VALUES (?, 'planned', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id"
            )
            values = (number, *change_row(change), packed, picture)
            (write,) = rows.execute(query, values).fetchone()
        yield
        self._done.append(write)

    def _mark_done(self, rows: sqlite3.Connection) -> None:
        done = [(number,) for number in self._done]
        rows.executemany("UPDATE writes SET state = 'done' WHERE id = ?", done)
        self._done.clear()

    def _run_id(self, rows: sqlite3.Connection) -> int:
        if self._id is None:
            query = (
                "INSERT INTO runs (action, roots, settings, version, started)"
                " VALUES (?, ?, ?, ?, ?) RETURNING id"
            )
            values = (*self._command, covergen.__version__, time.time())
            (self._id,) = rows.execute(query, values).fetchone()
        return self._id

    def _album_id(
        self, rows: sqlite3.Connection, album: Album, provenance: Provenance | None = None
    ) -> int:
        run, (identity, details) = self._run_id(rows), album_row(album)
        columns = "(run, identity, details) VALUES (?, ?, ?)"
        rows.execute(f"INSERT OR IGNORE INTO albums {columns}", (run, identity, details))
        if provenance:
            query = "UPDATE albums SET provenance = ? WHERE run = ? AND identity = ?"
            rows.execute(query, (as_json(provenance), run, identity))
        query = "SELECT id FROM albums WHERE run = ? AND identity = ?"
        number: int = rows.execute(query, (run, identity)).fetchone()[0]
        return number
