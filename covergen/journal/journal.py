"""The journal of all runs: which files each run wrote, and how to undo that.

A write is committed to the journal as planned before its file is replaced, and marked as done
together with the next one. In between, the file's hash shows whether it was done. No music depends
on the journal: if it is lost, runs cannot be undone, and nothing else is lost.
"""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covergen.core.app_folders import state_folder
from covergen.core.database import OtherVersionError, is_damaged, open_durable, used_bytes
from covergen.core.errors import JournalError
from covergen.journal.schema import (
    MIGRATIONS,
    RUNS,
    WRITES,
    Run,
    Write,
    WriteState,
    run_of,
    write_of,
)
from covergen.library.writing.reversal import Reversal

_KEPT_BYTES = 2 << 30
_MIN_FREE_BYTES = 1 << 20  # what even a small run needs
_UNUSABLE = (
    "No music depends on it: use --no-journal to write without it. If you move it away, a new one"
    " is created; earlier runs can then no longer be undone, but `covergen strip` still removes"
    " covers."
)
_WITHOUT = " With --no-journal, covers are written without it and cannot be undone."
_LATER = f"Update covergen to read it.{_WITHOUT}"
_AGAIN = f"and run the command again.{_WITHOUT}"
_DISK_FULL = f"It is intact: free some space on that disk {_AGAIN}"
_NOT_WRITABLE = f"It is intact: make it and its folder writable {_AGAIN}"
_NOT_CREATED = f"Make that folder writable {_AGAIN}"
_PASSING = f"Run the command again; if that does not help, check its disk.{_WITHOUT}"
_PASSING_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_LOCKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSize:
    """The size of the journal. `reversal_bytes` is what `prune` can delete."""

    file_bytes: int
    reversal_bytes: int
    writes: int


class Journal:
    """The journal of this machine's runs. Not thread-safe.

    Its file is created by the first run. Every method may raise JournalError: if the file is
    damaged, of another version, or cannot be read or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or state_folder() / "journal.sqlite"
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def runs(self) -> list[Run]:
        """Return every run, latest first."""
        with self._errors():
            return [run_of(row) for row in self.read(f"{RUNS} ORDER BY id DESC")]

    def run(self, number: int) -> Run | None:
        """Return the run with that id, None if there is none."""
        with self._errors():
            return next(map(run_of, self.read(f"{RUNS} WHERE id = ?", number)), None)

    def left_to_undo(self) -> list[Run]:
        """Return the runs, latest first, with writes not undone yet; `undo` itself is excluded."""
        left = "SELECT 1 FROM albums JOIN writes ON album = albums.id WHERE run = runs.id"
        undoable = f"action != 'undo' AND EXISTS ({left} AND state != 'undone')"
        with self._errors():
            return [run_of(row) for row in self.read(f"{RUNS} WHERE {undoable} ORDER BY id DESC")]

    def writes(self, run: int) -> Iterator[tuple[Write, ...]]:
        """Yield what a run wrote, album by album, latest first."""
        for (album,) in self.read("SELECT id FROM albums WHERE run = ? ORDER BY id DESC", run):
            if writes := self._writes("album = ?", album):
                yield tuple(writes)

    def history(self, path: Path) -> list[Write]:
        """Return every write of a file, latest first. Symbolic links are resolved."""
        return self._writes("path = ?", os.fsencode(os.path.realpath(path)))

    def planned(self) -> list[Write]:
        """Return the planned writes: only their files show whether they were done."""
        return self._writes("state = 'planned'")

    def reversal(self, write: Write) -> Reversal | None:
        """Return what undoes a write, None if it is not kept. Raises ValueError if damaged."""
        query = "SELECT reversal, data FROM writes LEFT JOIN pictures ON picture = hash"
        found = self.read(f"{query} WHERE id = ?", write.id)
        packed, picture = found[0] if found else (None, None)
        return None if packed is None else Reversal.unpack(packed, picture or b"")

    def settle(self, *writes: Write, state: WriteState | None, by: int | None = None) -> None:
        """Set the state of writes; None deletes them, since they never happened.

        `by` is the run that undid them. The reversal of an undone write is deleted.
        """
        numbers = [(write.id,) for write in writes]
        with self.transaction() as rows:
            if state is None:
                rows.executemany("DELETE FROM writes WHERE id = ?", numbers)
            elif state is WriteState.UNDONE:
                query = "UPDATE writes SET state = 'undone', undone_by = ?, reversal = NULL"
                values = [(by, write.id) for write in writes]
                rows.executemany(f"{query}, picture = NULL WHERE id = ?", values)
            else:
                query = "UPDATE writes SET state = ? WHERE id = ?"
                rows.executemany(query, [(state, write.id) for write in writes])

    def size(self) -> JournalSize:
        """Return the size of the journal."""
        found = self.read(
            "SELECT (SELECT coalesce(sum(length(reversal)), 0) FROM writes)"
            " + (SELECT coalesce(sum(length(data)), 0) FROM pictures),"
            " (SELECT count(*) FROM writes)"
        )
        reversals, writes = found[0] if found else (0, 0)
        with self._errors():
            size = used_bytes(self._open()) if found else 0
        return JournalSize(file_bytes=size, reversal_bytes=reversals, writes=writes)

    def prune(self, *, keep_bytes: int = _KEPT_BYTES, keep_runs: int = 1) -> int:
        """Delete the reversals of the oldest runs until at most `keep_bytes` remain.

        Their history stays. The last `keep_runs` runs keep their reversals, whatever their size.
        Returns the number of runs that can no longer be undone.
        """
        query = (
            "SELECT id FROM runs WHERE action != 'undo' AND id IN (SELECT run FROM albums)"
            " ORDER BY id DESC LIMIT -1 OFFSET ?"
        )
        runs = self.read(query, keep_runs)
        pruned = 0
        while runs and self.size().reversal_bytes > keep_bytes:
            pruned += self._forget_reversals(*runs.pop())
        if pruned:
            with suppress(JournalError):  # VACUUM needs free space itself
                self.read("VACUUM")
        return pruned

    def _forget_reversals(self, run: int) -> bool:
        with self.transaction() as rows:
            forgotten = rows.execute(
                "UPDATE writes SET reversal = NULL, picture = NULL WHERE reversal IS NOT NULL"
                " AND album IN (SELECT id FROM albums WHERE run = ?)",
                (run,),
            )
            rows.execute(
                "DELETE FROM pictures WHERE hash NOT IN"
                " (SELECT picture FROM writes WHERE picture IS NOT NULL)"
            )
        return forgotten.rowcount > 0

    def _writes(self, which: str, *values: object) -> list[Write]:
        rows = self.read(f"{WRITES} WHERE {which} ORDER BY writes.id DESC", *values)
        with self._errors():
            return [write_of(row) for row in rows]

    def read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self._errors():
            if self._connection is None and not self.path.exists():
                return []  # do not create the file just to read it
            return self._open().execute(query, values).fetchall()

    def check_writable(self) -> None:
        """Raise JournalError if a run is known to be impossible to record."""
        with self._errors():
            folder = next(folder for folder in self.path.parents if folder.exists())
            if shutil.disk_usage(folder).free < _MIN_FREE_BYTES:
                raise self._error("cannot grow: its disk is full", _DISK_FULL)
            if self.path.exists():
                self._open().execute("BEGIN IMMEDIATE")
                self._open().execute("ROLLBACK")
            elif not os.access(folder, os.W_OK | os.X_OK):
                raise self._error(f"cannot be created: {folder} is not writable", _NOT_CREATED)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction, durable on disk when it ends."""
        with self._errors(), self._open() as rows:
            yield rows

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_durable(self.path, MIGRATIONS)
        return self._connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate SQLite's exceptions, and invalid rows, to JournalError."""
        try:
            yield
        except OtherVersionError as error:
            raise self._error("was made by a later version of covergen", _LATER) from error
        except sqlite3.Error as error:
            raise self._error(*self._explain(error)) from error
        except OSError as error:
            hint = _UNUSABLE if self._is_not_a_file() else _NOT_WRITABLE
            hint = _PASSING if error.errno == errno.EIO else hint
            raise self._error(f"cannot be used: {error.strerror}", hint) from error
        except (KeyError, TypeError, ValueError) as error:
            raise self._error("is damaged: it contains invalid data", _UNUSABLE) from error

    def _explain(self, error: sqlite3.Error) -> tuple[str, str]:
        """Return what is wrong, and a hint."""
        if is_damaged(error):
            return f"is damaged: {error}", _UNUSABLE
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return "cannot grow: its disk is full", _DISK_FULL
        if self._is_not_a_file():
            return f"cannot be used: {error}", _UNUSABLE
        hint = _PASSING if code in _PASSING_CODES else _NOT_WRITABLE
        return f"cannot be used: {error}", hint

    def _is_not_a_file(self) -> bool:
        """Whether the journal's path, or that of its folder, is taken by something else."""
        path, folder = self.path, self.path.parent
        try:
            return (path.exists() and not path.is_file()) or (
                folder.exists() and not folder.is_dir()
            )
        except OSError:
            return False

    def _error(self, message: str, hint: str) -> JournalError:
        text = f"The journal {self.path} {message}."
        return JournalError(text, hint=hint, passing=hint is _PASSING)
