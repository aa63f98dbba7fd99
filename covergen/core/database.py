"""SQLite files that survive crashes, damage and version changes: all of covergen's memory."""

import sqlite3
from pathlib import Path

__all__ = ["open_cache"]


def open_cache(path: Path, schema: str, version: int) -> sqlite3.Connection:
    """Open a database whose contents can be made again, creating its tables with `schema`.

    One of another version, or one that is damaged, is deleted and begun anew. The connection
    may be handed from one thread to another, used by one at a time.
    """
    try:
        return _open(path, schema, version)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            raise
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _open(path, schema, version)


def _open(path: Path, schema: str, version: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found not in (0, version):
            raise sqlite3.DatabaseError(f"schema version {found}, expected {version}")
        with connection:
            connection.executescript(schema)
            connection.execute(f"PRAGMA user_version = {version:d}")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection
