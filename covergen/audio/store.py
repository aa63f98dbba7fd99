"""The cache of embeddings in SQLite, so that nothing is decoded or embedded twice.

An embedding belongs to what was heard (an excerpt's key) and to the tower that heard it. A file
leads to its key by path, size and time of change, so that the file itself need not be opened.
"""

from __future__ import annotations

import math
import os
import sqlite3
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from covergen.core.database import is_damaged, open_cache, today, usage_of, used_bytes
from covergen.core.paths import cache_folder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from covergen.core.database import Usage
    from covergen.core.types import Track

    _Statement: TypeAlias = tuple[str, tuple[object, ...]]

__all__ = ["EmbeddingStore", "stored_embeddings"]

# Raise it whenever other windows are heard, or they are heard otherwise.
_VERSION = 5
_NAME = "embeddings.sqlite"
_UNUSED_DAYS = 365
_MOST_BYTES = 2 << 30  # a million tracks
# mtime_ns is text: file systems know times that SQLite's integers do not. `used` is in days.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS heard (
    path BLOB, windows INTEGER, size INTEGER, mtime_ns TEXT, key TEXT,
    PRIMARY KEY (path, windows)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS embedding (
    key TEXT, tower TEXT, vector BLOB, used INTEGER,
    PRIMARY KEY (key, tower)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS embedding_by_use ON embedding (used);
"""


def stored_embeddings(path: Path | None = None) -> Usage:
    """What the cache holds; a row is an embedding. Changes nothing."""
    return usage_of(path or cache_folder() / _NAME, "embedding", _VERSION)


class EmbeddingStore:
    """The embeddings of tracks, each saved as it comes. Several threads may use one store.

    A cache that cannot be read or written slows a run down, but does not stop it; a closed one
    knows nothing and keeps nothing. `saved` counts the embeddings that it took since it was opened;
    where there are any, `close` sees to it that the cache does not grow for ever.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._connection = self._open()
        self._lock = RLock()
        self.saved = 0

    def close(self) -> None:
        """Close the file, once no thread is in the middle of using it."""
        with self._lock:
            if self.saved:
                self.prune()
            self._connection.close()

    def find(self, track: Track, windows: int, tower: str) -> NDArray[np.float32] | None:
        """Return the (D,) embedding of a track that has not changed since, if there is one."""
        return self._vector(
            "SELECT vector, key, tower, used FROM heard JOIN embedding USING (key) WHERE path = ?"
            " AND windows = ? AND size = ? AND mtime_ns = ? AND tower = ?",
            (_name(track.path), windows, track.size, str(track.mtime_ns), tower),
        )

    def find_key(self, key: str, tower: str) -> NDArray[np.float32] | None:
        """Return the (D,) embedding of what an excerpt's key stands for, if there is one."""
        query = "SELECT vector, key, tower, used FROM embedding WHERE key = ? AND tower = ?"
        return self._vector(query, (key, tower))

    def put(
        self, track: Track, windows: int, key: str, tower: str, vector: NDArray[np.float32]
    ) -> None:
        """Save the (D,) embedding of a track with the key of its excerpt."""
        stamp = (_name(track.path), windows, track.size, str(track.mtime_ns), key)
        blob = vector.astype("<f4").tobytes()
        with self._lock:
            rows = self._transact(
                ("REPLACE INTO heard VALUES (?, ?, ?, ?, ?)", stamp),
                ("REPLACE INTO embedding VALUES (?, ?, ?, ?)", (key, tower, blob, today())),
            )
            self.saved += rows is not None

    def carry_over(self, track: Track) -> None:
        """Keep the embedding of a track whose file covergen itself has just written.

        `track` is as it was scanned, before the write, which left the sound as it was.
        """
        try:
            new = track.path.stat()
        except OSError:
            return  # gone again: nothing to keep
        written = (new.st_size, str(new.st_mtime_ns))
        scanned = (_name(track.path), track.size, str(track.mtime_ns))
        query = (
            "UPDATE heard SET size = ?, mtime_ns = ? WHERE path = ? AND size = ? AND mtime_ns = ?"
        )
        self._transact((query, written + scanned))

    def prune(self, *, unused_days: int = _UNUSED_DAYS, most_bytes: int = _MOST_BYTES) -> int:
        """Forget what was not used for so long, then the longest unused of what is too much.

        Returns how many embeddings went.
        """
        too_old = "DELETE FROM embedding WHERE used <= ? RETURNING 1"
        went = len(self._transact((too_old, (today() - unused_days,))) or ())
        if excess := self._excess(most_bytes):
            too_many = (
                "DELETE FROM embedding WHERE (key, tower) IN"
                " (SELECT key, tower FROM embedding ORDER BY used LIMIT ?) RETURNING 1"
            )
            went += len(self._transact((too_many, (excess,))) or ())
        if went:
            lost = "DELETE FROM heard WHERE key NOT IN (SELECT key FROM embedding)"
            self._transact((lost, ()))
        return went

    def compact(self) -> None:
        """Give the room of what was forgotten back to the disk."""
        self._transact(("VACUUM", ()))

    def _excess(self, most_bytes: int) -> int:
        """How many embeddings are too many, with some to spare for those to come."""
        with self._lock, suppress(sqlite3.Error):
            size = used_bytes(self._connection)
            (rows,) = self._connection.execute("SELECT count(*) FROM embedding").fetchone()
            if size > most_bytes:
                return math.ceil(int(rows) * (1 - 0.9 * most_bytes / size))
        return 0

    def _vector(self, query: str, values: tuple[object, ...]) -> NDArray[np.float32] | None:
        rows = self._transact((query, values))
        if not rows:
            return None
        blob, key, tower, used = rows[0]
        if used != today():
            mark = "UPDATE embedding SET used = ? WHERE key = ? AND tower = ?"
            self._transact((mark, (today(), key, tower)))
        return _unpacked(blob)

    def _transact(self, *statements: _Statement) -> list[tuple[Any, ...]] | None:
        """Return the rows of the last statement; None where the cache could not be used."""
        rows: list[tuple[Any, ...]] = []
        with self._lock:
            try:
                with self._connection as connection:
                    for statement, values in statements:
                        rows = connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:  # damaged; or full, locked, gone or closed
                if is_damaged(error):
                    self._connection.close()
                    self._connection = self._open(anew=True)
                return None
        return rows

    def _open(self, *, anew: bool = False) -> sqlite3.Connection:
        return open_cache(_NAME, _SCHEMA, _VERSION, path=self._path, anew=anew)


def _unpacked(blob: object) -> NDArray[np.float32] | None:
    """The embedding that was saved as these bytes; None where they are damaged."""
    if not isinstance(blob, bytes) or len(blob) % 4:
        return None
    vector = np.frombuffer(blob, dtype="<f4")
    with np.errstate(all="ignore"):  # whatever the bytes may mean now
        length = float(np.linalg.norm(vector.astype(np.float64)))
    return vector.astype(np.float32) if math.isclose(length, 1, abs_tol=1e-3) else None


def _name(path: Path) -> bytes:
    return os.fsencode(path.absolute())
