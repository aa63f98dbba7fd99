"""The embedding cache (SQLite), so that nothing is decoded or embedded twice.

An embedding is stored by the key of the excerpt and the id of the encoder. A file maps to its key
by path, size and mtime, so that unchanged files need not be opened.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from covergen.core.album import Track
from covergen.core.app_folders import cache_folder
from covergen.core.database import CacheDatabase, Usage, today, usage_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Increment whenever the windows, or the way they are decoded or embedded, change.
_VERSION = 5
_NAME = "embeddings.sqlite"
_UNUSED_DAYS = 365
_MAX_BYTES = 2 << 30  # a million tracks
# mtime_ns is TEXT: it may exceed SQLite's integers. `used` is in days.
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
    """Return the size of the cache; a row is an embedding. Read-only."""
    return usage_of(path or cache_folder() / _NAME, "embedding", _VERSION)


class TrackVectors(Protocol):
    """Where embeddings are found and saved: the cache, or what a worker was sent of it."""

    def find(self, track: Track, windows: int, audio_encoder: str) -> NDArray[np.float32] | None:
        """Return the (D,) embedding of an unchanged track, None if it is not known."""

    def find_key(self, key: str, audio_encoder: str) -> NDArray[np.float32] | None:
        """Return the (D,) embedding of an excerpt by its key, None if it is not known."""

    def put(
        self, track: Track, windows: int, key: str, audio_encoder: str, vector: NDArray[np.float32]
    ) -> None:
        """Save the (D,) embedding of a track with the key of its excerpt."""


class EmbeddingCache(CacheDatabase):
    """A persistent cache of track embeddings.

    `saved` counts the embeddings saved since it was opened; if there are any, `close` prunes the
    cache.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(_NAME, _SCHEMA, _VERSION, path=path)
        self.saved = 0

    def close(self) -> None:
        """Close the file as soon as no thread is using it."""
        with self._lock:
            if self.saved:
                self.prune()
            super().close()

    def find(self, track: Track, windows: int, audio_encoder: str) -> NDArray[np.float32] | None:
        """Return the (D,) embedding of an unchanged track, None if it is not cached."""
        return self._vector(
            "SELECT vector, key, tower, used FROM heard JOIN embedding USING (key) WHERE path = ?"
            " AND windows = ? AND size = ? AND mtime_ns = ? AND tower = ?",
            *(_name(track.path), windows, track.size, str(track.mtime_ns), audio_encoder),
        )

    def find_key(self, key: str, audio_encoder: str) -> NDArray[np.float32] | None:
        """Return the (D,) embedding of an excerpt by its key, None if it is not cached."""
        query = "SELECT vector, key, tower, used FROM embedding WHERE key = ? AND tower = ?"
        return self._vector(query, key, audio_encoder)

    def put(
        self, track: Track, windows: int, key: str, audio_encoder: str, vector: NDArray[np.float32]
    ) -> None:
        """Save the (D,) embedding of a track with the key of its excerpt."""
        stamp = (_name(track.path), windows, track.size, str(track.mtime_ns), key)
        blob = vector.astype("<f4").tobytes()
        with self._lock:
            rows = self.run_all(
                ("REPLACE INTO heard VALUES (?, ?, ?, ?, ?)", stamp),
                ("REPLACE INTO embedding VALUES (?, ?, ?, ?)", (key, audio_encoder, blob, today())),
            )
            self.saved += rows is not None

    def carry_over(self, track: Track) -> None:
        """Keep the embedding of a track after covergen has written its file.

        `track` is as it was scanned, before the write; its audio has not changed.
        """
        try:
            new = track.path.stat()
        except OSError:
            return  # already gone
        written = (new.st_size, str(new.st_mtime_ns))
        scanned = (_name(track.path), track.size, str(track.mtime_ns))
        query = (
            "UPDATE heard SET size = ?, mtime_ns = ? WHERE path = ? AND size = ? AND mtime_ns = ?"
        )
        self.run(query, *written, *scanned)

    def prune(self, *, unused_days: int = _UNUSED_DAYS, most_bytes: int = _MAX_BYTES) -> int:
        """Delete embeddings not used for `unused_days`, then the least recently used ones.

        The latter until the cache is smaller than `most_bytes`. Returns the number deleted.
        """
        too_old = "DELETE FROM embedding WHERE used <= ? RETURNING 1"
        deleted = len(self.run(too_old, today() - unused_days) or ())
        if excess := self._excess(most_bytes):
            too_many = (
                "DELETE FROM embedding WHERE (key, tower) IN"
                " (SELECT key, tower FROM embedding ORDER BY used LIMIT ?) RETURNING 1"
            )
            deleted += len(self.run(too_many, excess) or ())
        if deleted:
            self.run("DELETE FROM heard WHERE key NOT IN (SELECT key FROM embedding)")
        return deleted

    def _excess(self, most_bytes: int) -> int:
        """Return how many embeddings to delete, leaving a tenth free for new ones."""
        size = self.used_bytes()
        counted = self.run("SELECT count(*) FROM embedding")
        if not counted or size <= most_bytes:
            return 0
        return math.ceil(int(counted[0][0]) * (1 - 0.9 * most_bytes / size))

    def _vector(self, query: str, *values: object) -> NDArray[np.float32] | None:
        rows = self.run(query, *values)
        if not rows:
            return None
        blob, key, audio_encoder, used = rows[0]
        if used != today():
            mark = "UPDATE embedding SET used = ? WHERE key = ? AND tower = ?"
            self.run(mark, today(), key, audio_encoder)
        return _unpack(blob)


def _unpack(blob: object) -> NDArray[np.float32] | None:
    """Return the embedding stored as these bytes, None if they are damaged."""
    if not isinstance(blob, bytes) or len(blob) % 4:
        return None
    vector = np.frombuffer(blob, dtype="<f4")
    with np.errstate(all="ignore"):  # damaged bytes may be NaN
        length = float(np.linalg.norm(vector.astype(np.float64)))
    return vector.astype(np.float32) if math.isclose(length, 1, abs_tol=1e-3) else None


def _name(path: Path) -> bytes:
    return os.fsencode(path.absolute())
