"""SQLite files that survive crashes, damage and version changes: all of covergen's memory."""

import sqlite3
from pathlib import Path

from covergen.core.paths import cache_folder

__all__ = ["is_damaged", "open_cache"]

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class _OtherVersionError(Exception):
    """The tables of an older or newer covergen."""


def open_cache(
    name: str, schema: str, version: int, *, path: Path | None = None, anew: bool = False
) -> sqlite3.Connection:
    """Open a database whose contents can be made again, creating its tables with `schema`.

    It lies at `path`, or under `name` in the cache folder. One of another version, or one that is
    damaged, is deleted and begun anew, as any is with `anew`. Where none can be opened or made
    (no such folder, no right to write, a full disk, another program's lock), it lies in memory
    and is forgotten when closed. The connection may be handed from one thread to another, used by
    one at a time. Never raises.
    """
    try:
        path = path or cache_folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return _open_or_begin(path, schema, version, anew=anew)
    except (sqlite3.Error, OSError):
        return _open(":memory:", schema, version)


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether SQLite found that the file is none of its own, or no longer whole."""
    # What Python's own module raises, such as for a closed connection, has no code.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF in _DAMAGE  # the low byte of an extended code is the primary one


def _open_or_begin(path: Path, schema: str, version: int, *, anew: bool) -> sqlite3.Connection:
    if not anew:
        try:
            return _open(path, schema, version)
        except _OtherVersionError:
            pass
        except sqlite3.Error as error:
            if not is_damaged(error):
                raise
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return _open(path, schema, version)


def _open(path: Path | str, schema: str, version: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found not in (0, version):
            raise _OtherVersionError
        if not found:
            connection.executescript(schema)
            connection.execute(f"PRAGMA user_version = {version:d}")
    except (sqlite3.Error, _OtherVersionError):
        connection.close()
        raise
    return connection
