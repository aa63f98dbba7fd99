"""The cache of embeddings in SQLite, so that nothing is decoded or embedded twice.

An embedding belongs to what was heard (an excerpt's key) and to the tower that heard it. A file
leads to its key by path, size and time of change, so that the file itself need not be opened.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from covergen.core.database import open_cache
from covergen.core.paths import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from covergen.core.types import Track

__all__ = ["EmbeddingStore"]

# Raise it whenever other windows are heard, or they are heard otherwise.
_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS heard (
    path BLOB, windows INTEGER, size INTEGER, mtime_ns INTEGER, key TEXT,
    PRIMARY KEY (path, windows)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS embedding (
    key TEXT, tower TEXT, vector BLOB,
    PRIMARY KEY (key, tower)
) WITHOUT ROWID;
"""


class EmbeddingStore:
    """The embeddings of tracks, each saved as it comes. Several threads may use one store.

    A cache that cannot be read or written slows a run down, but does not stop it. `saved` counts
    the embeddings that were put in since the store was opened.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or cache_folder() / "embeddings.sqlite"
        self._connection = open_cache(self._path, _SCHEMA, _VERSION)
        self._lock = Lock()
        self.saved = 0

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def find(self, track: Track, windows: int, tower: str) -> NDArray[np.float32] | None:
        """Return the (D,) embedding of a track that has not changed since, if there is one."""
        return self._vector(
            "SELECT vector FROM heard JOIN embedding USING (key) WHERE path = ?"
            " AND windows = ? AND size = ? AND mtime_ns = ? AND tower = ?",
            (_name(track.path), windows, track.size, track.mtime_ns, tower),
        )

    def find_key(self, key: str, tower: str) -> NDArray[np.float32] | None:
        """Return the (D,) embedding of what an excerpt's key stands for, if there is one."""
        query = "SELECT vector FROM embedding WHERE key = ? AND tower = ?"
        return self._vector(query, (key, tower))

    def put(
        self, track: Track, windows: int, key: str, tower: str, vector: NDArray[np.float32]
    ) -> None:
        """Save the (D,) embedding of a track with the key of its excerpt."""
        self.saved += 1
        stamp = (_name(track.path), windows, track.size, track.mtime_ns, key)
        with self._access() as connection:
            connection.execute("REPLACE INTO heard VALUES (?, ?, ?, ?, ?)", stamp)
            blob = vector.astype("<f4").tobytes()
            connection.execute("REPLACE INTO embedding VALUES (?, ?, ?)", (key, tower, blob))

    def carry_over(self, track: Track) -> None:
        """Keep the embedding of a track whose file covergen itself has just written.

        `track` is as it was scanned, before the write, which left the sound as it was.
        """
        try:
            new = track.path.stat()
        except OSError:
            return  # gone again: nothing to keep
        stamps = (new.st_size, new.st_mtime_ns, _name(track.path), track.size, track.mtime_ns)
        with self._access() as connection:
            connection.execute(
                "UPDATE heard SET size = ?, mtime_ns = ?"
                " WHERE path = ? AND size = ? AND mtime_ns = ?",
                stamps,
            )

    def _vector(self, query: str, values: tuple[object, ...]) -> NDArray[np.float32] | None:
        row = None
        with self._access() as connection:
            row = connection.execute(query, values).fetchone()
        return None if row is None else np.frombuffer(row[0], dtype="<f4").astype(np.float32)

    @contextmanager
    def _access(self) -> Iterator[sqlite3.Connection]:
        """One transaction by one thread; what goes wrong with the cache ends here."""
        with self._lock:
            try:
                with self._connection:
                    yield self._connection
            except sqlite3.OperationalError:
                pass  # full, locked or gone: this run does without
            except sqlite3.DatabaseError:
                self._begin_anew()

    def _begin_anew(self) -> None:
        """Replace a database that turned out to be damaged: as one of another version would be."""
        self._connection.execute("PRAGMA user_version = -1")
        self._connection.close()
        self._connection = open_cache(self._path, _SCHEMA, _VERSION)


def _name(path: Path) -> bytes:
    return os.fsencode(path.absolute())
