"""The cache of embeddings in SQLite, so that nothing is decoded or embedded twice.

An embedding belongs to what was heard (an excerpt's key) and to the tower that heard it. A file
leads to its key by path, size and time of change, so that the file itself need not be opened.
"""

from __future__ import annotations

import os
import sqlite3
from threading import RLock
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from covergen.core.database import is_damaged, open_cache

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from covergen.core.types import Track

    _Statement: TypeAlias = tuple[str, tuple[object, ...]]

__all__ = ["EmbeddingStore"]

# Raise it whenever other windows are heard, or they are heard otherwise.
_VERSION = 2
# mtime_ns is text: file systems know times that SQLite's integers do not.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS heard (
    path BLOB, windows INTEGER, size INTEGER, mtime_ns TEXT, key TEXT,
    PRIMARY KEY (path, windows)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS embedding (
    key TEXT, tower TEXT, vector BLOB,
    PRIMARY KEY (key, tower)
) WITHOUT ROWID;
"""


class EmbeddingStore:
    """The embeddings of tracks, each saved as it comes. Several threads may use one store.

    A cache that cannot be read or written slows a run down, but does not stop it; a closed one
    knows nothing and keeps nothing. `saved` counts the embeddings that it took since it was opened.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._connection = self._open()
        self._lock = RLock()
        self.saved = 0

    def close(self) -> None:
        """Close the file, once no thread is in the middle of using it."""
        with self._lock:
            self._connection.close()

    def find(self, track: Track, windows: int, tower: str) -> NDArray[np.float32] | None:
        """Return the (D,) embedding of a track that has not changed since, if there is one."""
        return self._vector(
            "SELECT vector FROM heard JOIN embedding USING (key) WHERE path = ?"
            " AND windows = ? AND size = ? AND mtime_ns = ? AND tower = ?",
            (_name(track.path), windows, track.size, str(track.mtime_ns), tower),
        )

    def find_key(self, key: str, tower: str) -> NDArray[np.float32] | None:
        """Return the (D,) embedding of what an excerpt's key stands for, if there is one."""
        query = "SELECT vector FROM embedding WHERE key = ? AND tower = ?"
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
                ("REPLACE INTO embedding VALUES (?, ?, ?)", (key, tower, blob)),
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

    def _vector(self, query: str, values: tuple[object, ...]) -> NDArray[np.float32] | None:
        rows = self._transact((query, values))
        return np.frombuffer(rows[0][0], dtype="<f4").astype(np.float32) if rows else None

    def _transact(self, *statements: _Statement) -> list[tuple[bytes]] | None:
        """Return the rows of the last statement; None where the cache could not be used."""
        rows: list[tuple[bytes]] = []
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
        return open_cache("embeddings.sqlite", _SCHEMA, _VERSION, path=self._path, anew=anew)


def _name(path: Path) -> bytes:
    return os.fsencode(path.absolute())
