"""A cache of encoded pictures in SQLite. Does not import torch."""

from covergen.core.app_folders import cache_folder
from covergen.core.database import CacheDatabase, Usage, today, usage_of

_NAME = "latents.sqlite"
_VERSION = 2
# `used` is the day of the last use.
_SCHEMA = "CREATE TABLE IF NOT EXISTS latent (key BLOB PRIMARY KEY, views BLOB, used INTEGER);"


def stored_latents() -> Usage:
    """The size of the cache, with one row per picture. Read-only."""
    return usage_of(cache_folder() / _NAME, "latent", _VERSION)


class LatentCache(CacheDatabase):
    """Latents as bytes, by a key of the picture and its encoder."""

    def __init__(self) -> None:
        super().__init__(_NAME, _SCHEMA, _VERSION)

    def has(self, key: bytes) -> bool:
        """Whether the key is cached; marks it as used today."""
        return bool(self.run("UPDATE latent SET used = ? WHERE key = ? RETURNING 1", today(), key))

    def find(self, key: bytes) -> bytes | None:
        """Return the latents for a key, or None."""
        rows = self.run("SELECT views FROM latent WHERE key = ?", key)
        return rows[0][0] if rows else None

    def put(self, key: bytes, views: bytes) -> None:
        """Store the latents for a key."""
        self.run("REPLACE INTO latent VALUES (?, ?, ?)", key, views, today())

    def prune(self, *, unused_days: int) -> int:
        """Delete rows unused for `unused_days`, shrink the file, and return the number deleted."""
        deleted = self.run("DELETE FROM latent WHERE used <= ? RETURNING 1", today() - unused_days)
        self.compact()
        return len(deleted or ())
