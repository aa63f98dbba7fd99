"""The cache of latents in SQLite: pictures that were encoded once are not encoded again.

One that cannot be used only costs time. Needs no torch.
"""

import sqlite3
from typing import Any

from covergen.core.database import Usage, is_damaged, open_cache, today, usage_of
from covergen.core.paths import cache_folder

__all__ = ["LatentStore", "stored_latents"]

_NAME = "latents.sqlite"
_VERSION = 2
# `used` is in days.
_SCHEMA = "CREATE TABLE IF NOT EXISTS latent (key BLOB PRIMARY KEY, views BLOB, used INTEGER);"


def stored_latents() -> Usage:
    """What the cache holds; a row is a picture. Changes nothing."""
    return usage_of(cache_folder() / _NAME, "latent", _VERSION)


class LatentStore:
    """Latents as bytes, by what they are of."""

    def __init__(self) -> None:
        self._connection = self._open()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def has(self, key: bytes) -> bool:
        """Whether there are latents of that key, which are used from now on."""
        return bool(self._run("UPDATE latent SET used = ? WHERE key = ? RETURNING 1", today(), key))

    def find(self, key: bytes) -> bytes | None:
        """The latents of that key, if there are any."""
        rows = self._run("SELECT views FROM latent WHERE key = ?", key)
        return rows[0][0] if rows else None

    def put(self, key: bytes, views: bytes) -> None:
        """Keep latents."""
        self._run("REPLACE INTO latent VALUES (?, ?, ?)", key, views, today())

    def prune(self, *, unused_days: int) -> int:
        """Forget what was not used for so long, and give its room back; returns how many went."""
        went = self._run("DELETE FROM latent WHERE used <= ? RETURNING 1", today() - unused_days)
        self._run("VACUUM")
        return len(went)

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with self._connection as connection:
                return connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            if is_damaged(error):
                self._connection.close()
                self._connection = self._open(anew=True)
            return []

    def _open(self, *, anew: bool = False) -> sqlite3.Connection:
        return open_cache(_NAME, _SCHEMA, _VERSION, anew=anew)
