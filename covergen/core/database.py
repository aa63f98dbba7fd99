"""SQLite databases that survive crashes, damage and version changes."""

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any
from urllib.parse import quote

from covergen.core.app_folders import cache_folder

_FILE_SUFFIXES = ("", "-wal", "-shm")  # the database, its write-ahead log, and the log's index
_DAMAGE_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class OtherVersionError(Exception):
    """The database was created by another version of covergen, whose data this one cannot read."""


def open_cache(
    name: str, schema: str, version: int, *, path: Path | None = None, recreate: bool = False
) -> sqlite3.Connection:
    """Open a database whose contents can be recomputed, creating its tables with `schema`.

    The file is `path`, or `name` in the cache folder. A database that is damaged or of another
    version is deleted and recreated; `recreate` recreates it in any case. If it cannot be opened or
    created (missing folder, no permission, full disk, locked), an in-memory database takes its
    place and is lost when closed. The connection may be passed between threads but used by only
    one at a time. Never raises.
    """
    try:
        path = path or cache_folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return _open_or_recreate(path, schema, version, recreate=recreate)
    except (sqlite3.Error, OSError):
        return _open(":memory:", schema, version)


class CacheDatabase:
    """An open cache: see `open_cache`. Thread-safe.

    A cache that cannot be read or written costs time, but is never an error: it then finds and
    keeps nothing. A damaged one is recreated.
    """

    def __init__(self, name: str, schema: str, version: int, *, path: Path | None = None) -> None:
        self._open = partial(open_cache, name, schema, version, path=path)
        self._connection = self._open()
        self._lock = RLock()

    def close(self) -> None:
        """Close the file as soon as no thread is using it."""
        with self._lock:
            self._connection.close()

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]] | None:
        """Return the rows of a statement, None if the cache cannot be used."""
        return self.run_all((statement, values))

    def run_all(self, *statements: tuple[str, Sequence[object]]) -> list[tuple[Any, ...]] | None:
        """Run statements in one transaction; return the rows of the last one, or None as `run`."""
        rows: list[tuple[Any, ...]] = []
        with self._lock:
            try:
                with self._connection as connection:
                    for statement, values in statements:
                        rows = connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:  # damaged, full, locked, deleted or closed
                if is_damaged(error):
                    self._connection.close()
                    self._connection = self._open(recreate=True)
                return None
        return rows

    def compact(self) -> None:
        """Return the space of deleted rows to the file system."""
        self.run("VACUUM")

    def used_bytes(self) -> int:
        """Return the number of bytes in use, without free pages; 0 if that is unknown."""
        with self._lock, suppress(sqlite3.Error):
            return used_bytes(self._connection)
        return 0


def open_durable(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    """Open a database whose contents cannot be recomputed, creating or updating its tables.

    Each of `migrations` is SQL that leads from one version to the next, the first from an empty
    database; a released one must never change. Committed data survives a power failure, and nothing
    else is ever deleted. Raises sqlite3.Error if the file is damaged, OtherVersionError if it is of
    a later version, and OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = _connect(path, synchronous="FULL")
    try:
        if _version(connection) != len(migrations):
            _migrate(connection, migrations)
    except (sqlite3.Error, OtherVersionError):
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")  # another process may have been faster
        found = _version(connection)
        if found > len(migrations):
            raise OtherVersionError
        for script in migrations[found:]:
            for statement in script.split(";\n"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations):d}")


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the error means that the file is corrupt or not a SQLite database."""
    # Errors raised by the Python module itself (such as a closed connection) have no code.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF in _DAMAGE_CODES  # the low byte of an extended code is the primary code


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The size of a database on disk and its number of rows.

    `fault` is the reason why the rows could not be counted, or "".
    """

    path: Path
    size_bytes: int
    rows: int = 0
    fault: str = ""


def usage_of(path: Path, table: str, version: int) -> Usage:
    """Measure a database, which need not exist and is not created. Never raises."""
    size = 0
    try:
        size = sum(file.stat().st_size for file in _files(path) if file.exists())
        rows = _count(path, table, version) if size else 0
    except OtherVersionError:
        return Usage(path=path, size_bytes=size, fault="created by another version of covergen")
    except sqlite3.Error as error:
        state = "damaged" if is_damaged(error) else "cannot be read"
        return Usage(path=path, size_bytes=size, fault=f"{state}: {error}")
    except OSError as error:
        return Usage(path=path, size_bytes=size, fault=f"cannot be read: {error.strerror}")
    return Usage(path=path, size_bytes=size, rows=rows)


def _count(path: Path, table: str, version: int) -> int:
    existing = f"file:{quote(os.fsencode(path))}?mode=rw"
    with closing(sqlite3.connect(existing, uri=True, timeout=5)) as connection:
        if _version(connection) != version:
            raise OtherVersionError
        query = f"SELECT count(*) FROM {table}"  # noqa: S608 - table names are constants
        return int(connection.execute(query).fetchone()[0])


def used_bytes(connection: sqlite3.Connection) -> int:
    """The number of bytes in use in a database, without free pages."""
    pages, free, page_bytes = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page_bytes)


def today() -> int:
    """Days since 1970-01-01 (UTC), for last-used dates."""
    return int(time.time() // 86_400)


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in _FILE_SUFFIXES]


def _open_or_recreate(
    path: Path, schema: str, version: int, *, recreate: bool
) -> sqlite3.Connection:
    if not recreate:
        try:
            return _open(path, schema, version)
        except OtherVersionError:
            pass
        except sqlite3.Error as error:
            if not is_damaged(error):
                raise
    for file in _files(path):
        file.unlink(missing_ok=True)
    return _open(path, schema, version)


def _open(path: Path | str, schema: str, version: int) -> sqlite3.Connection:
    connection = _connect(path, synchronous="NORMAL")
    try:
        found = _version(connection)
        if found not in (0, version):
            raise OtherVersionError
        if not found:
            connection.executescript(schema)
            connection.execute(f"PRAGMA user_version = {version:d}")
    except (sqlite3.Error, OtherVersionError):
        connection.close()
        raise
    return connection


def _connect(path: Path | str, *, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
