"""A cache of encoded pictures in SQLite.

A cache that cannot be read or written only costs time: errors are ignored. Does not import torch.
"""

import sqlite3
from typing import Any

from covergen.core.app_folders import cache_folder
from covergen.core.database import Usage, is_damaged, open_cache, today, usage_of

_NAME = "latents.sqlite"
_VERSION = 2
# `used` is the day of the last use.
_SCHEMA = "CREATE TABLE IF NOT EXISTS latent (key BLOB PRIMARY KEY, views BLOB, used INTEGER);"


def stored_latents() -> Usage:
    """The size of the cache, with one row per picture. Read-only."""
    return usage_of(cache_folder() / _NAME, "latent", _VERSION)


class LatentStore:
    """Latents as bytes, by a key of the picture and its encoder."""

    def __init__(self) -> None:
        self._connection = self._open()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def has(self, key: bytes) -> bool:
        """Whether the key is cached; marks it as used today."""
        return bool(self._run("UPDATE latent SET used = ? WHERE key = ? RETURNING 1", today(), key))

    def find(self, key: bytes) -> bytes | None:
        """Return the latents for a key, or None."""
        rows = self._run("SELECT views FROM latent WHERE key = ?", key)
        return rows[0][0] if rows else None

    def put(self, key: bytes, views: bytes) -> None:
        """Store the latents for a key."""
        self._run("REPLACE INTO latent VALUES (?, ?, ?)", key, views, today())

    def prune(self, *, unused_days: int) -> int:
        """Delete rows unused for `unused_days`, shrink the file, and return the number deleted."""
        deleted = self._run("DELETE FROM latent WHERE used <= ? RETURNING 1", today() - unused_days)
        self._run("VACUUM")
        return len(deleted)

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with self._connection as connection:
                return connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            if is_damaged(error):
                self._connection.close()
                self._connection = self._open(recreate=True)
            return []

    def _open(self, *, recreate: bool = False) -> sqlite3.Connection:
        return open_cache(_NAME, _SCHEMA, _VERSION, recreate=recreate)
