"""SQLite files that survive crashes, damage and version changes: all of covergen's memory."""

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from covergen.core.paths import cache_folder

__all__ = [
    "OtherVersionError",
    "Usage",
    "is_damaged",
    "open_cache",
    "open_durable",
    "today",
    "usage_of",
    "used_bytes",
]

_FILES = ("", "-wal", "-shm")  # a database, what is to go into it, and the index of that
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class OtherVersionError(Exception):
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


def open_durable(path: Path, schema: str, version: int) -> sqlite3.Connection:
    """Open a database whose contents cannot be made again, creating its tables with `schema`.

    What is committed survives a power cut. Nothing is ever deleted: raises sqlite3.Error for a
    damaged file, OtherVersionError, and OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return _open(path, schema, version, synchronous="FULL")


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether SQLite found that the file is none of its own, or no longer whole."""
    # What Python's own module raises, such as for a closed connection, has no code.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF in _DAMAGE  # the low byte of an extended code is the primary one


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a database holds: its bytes on the disk, and its rows.

    `fault` says why the rows could not be counted, "" where they could.
    """

    path: Path
    size_bytes: int
    rows: int = 0
    fault: str = ""


def usage_of(path: Path, table: str, version: int) -> Usage:
    """Look into a database, which need not be there, and is not made. Never raises."""
    size = 0
    try:
        size = sum(file.stat().st_size for file in _files(path) if file.exists())
        rows = _count(path, table, version) if size else 0
    except OtherVersionError:
        return Usage(path=path, size_bytes=size, fault="of another version of covergen")
    except sqlite3.Error as error:
        state = "damaged" if is_damaged(error) else "cannot be read"
        return Usage(path=path, size_bytes=size, fault=f"{state}: {error}")
    except OSError as error:
        return Usage(path=path, size_bytes=size, fault=f"cannot be read: {error.strerror}")
    return Usage(path=path, size_bytes=size, rows=rows)


def _count(path: Path, table: str, version: int) -> int:
    existing = f"file:{quote(os.fsencode(path))}?mode=rw"
    with closing(sqlite3.connect(existing, uri=True, timeout=5)) as connection:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found != version:
            raise OtherVersionError
        query = f"SELECT count(*) FROM {table}"  # noqa: S608 - a name of our own
        return int(connection.execute(query).fetchone()[0])


def used_bytes(connection: sqlite3.Connection) -> int:
    """The size of what a database holds, without the room that was freed in its file."""
    pages, free, page_bytes = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page_bytes)


def today() -> int:
    """Days since 1970: precise enough to tell what was not used for long."""
    return int(time.time() // 86_400)


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in _FILES]


def _open_or_begin(path: Path, schema: str, version: int, *, anew: bool) -> sqlite3.Connection:
    if not anew:
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


def _open(
    path: Path | str, schema: str, version: int, *, synchronous: str = "NORMAL"
) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found not in (0, version):
            raise OtherVersionError
        if not found:
            connection.executescript(schema)
            connection.execute(f"PRAGMA user_version = {version:d}")
    except (sqlite3.Error, OtherVersionError):
        connection.close()
        raise
    return connection
