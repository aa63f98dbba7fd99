"""A cache is kept while it is sound and never stops a run; a durable database is never deleted."""

import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from covergen.core import database
from covergen.core.database import (
    OtherVersionError,
    Usage,
    open_cache,
    open_durable,
    usage_of,
)

SCHEMA = "CREATE TABLE IF NOT EXISTS word (text TEXT)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of version 1 with one word in it."""
    path = tmp_path / "a.sqlite"
    with closing(open_cache("", SCHEMA, 1, path=path)) as cache, cache:
        cache.execute("INSERT INTO word VALUES ('kept')")
    return path


def words(path: Path, *, version: int = 1, recreate: bool = False) -> list[str]:
    """Open a cache and return its words; also checks that it can be written."""
    with closing(open_cache("", SCHEMA, version, path=path, recreate=recreate)) as cache:
        found = [text for (text,) in cache.execute("SELECT text FROM word")]
        with cache:
            cache.execute("INSERT INTO word VALUES ('more')")
        assert cache.execute("SELECT count(*) FROM word").fetchone() == (len(found) + 1,)
    return found


def test_sound_cache_is_kept(path: Path) -> None:
    assert words(path) == ["kept"]
    assert words(path) == ["kept", "more"]


@pytest.mark.parametrize(("version", "recreate"), [(2, False), (1, True)])
def test_cache_is_recreated_for_another_version_and_on_demand(
    path: Path, version: int, recreate: bool
) -> None:
    assert words(path, version=version, recreate=recreate) == []
    assert words(path, version=version) == ["more"]


@pytest.mark.parametrize("start", [0, 100], ids=["no header", "header only"])
def test_damaged_cache_is_recreated(path: Path, start: int) -> None:
    data = bytearray(path.read_bytes())
    data[start:4096] = b"\xaa" * (4096 - start)
    path.write_bytes(data)
    assert words(path) == []
    assert words(path) == ["more"]


@contextmanager
def full_disk() -> Iterator[None]:
    """Prevent all files from growing."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_full_disk_keeps_the_cache(path: Path) -> None:
    with full_disk():
        words(path)
    assert words(path) == ["kept"]


def test_locked_cache_is_replaced_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def impatient(path: Path | str, **options: object) -> sqlite3.Connection:
        return connect(path, **{**options, "timeout": 0.01})  # type: ignore[call-overload]  # as handed in

    monkeypatch.setattr(database.sqlite3, "connect", impatient)
    with closing(connect(path)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        assert words(path) == []
    assert words(path) == ["kept"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_read_only_cache_is_left_alone(path: Path) -> None:
    path.chmod(0o400)
    path.parent.chmod(0o500)
    words(path)
    path.parent.chmod(0o700)
    path.chmod(0o600)
    assert words(path) == ["kept"]


def test_cache_folder_is_created_if_possible(tmp_path: Path, home: Path) -> None:
    assert words(tmp_path / "missing" / "a.sqlite") == []
    (tmp_path / "file").write_text("not a folder")
    assert words(tmp_path / "file" / "a.sqlite") == []
    open_cache("a.sqlite", SCHEMA, 1).close()
    assert list((home / "cache").rglob("a.sqlite"))


def test_usage_creates_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sub/odd ?#%20 name.sqlite"
    assert usage_of(path, "a", 3) == Usage(path=path, size_bytes=0)
    assert not path.parent.exists()
    with closing(open_cache("", "CREATE TABLE a (b)", 3, path=path)) as rows, rows:
        rows.executemany("INSERT INTO a VALUES (?)", [(1,), (2,)])
    assert usage_of(path, "a", 3) == Usage(path=path, size_bytes=path.stat().st_size, rows=2)
    assert list(path.parent.iterdir()) == [path]
    assert "another version" in usage_of(path, "a", 4).fault
    path.write_bytes(b"not a database" * 1000)
    assert "damaged" in usage_of(path, "a", 3).fault
    assert path.read_bytes() == b"not a database" * 1000


def test_durable_database_is_kept_and_synced_on_commit(tmp_path: Path) -> None:
    path = tmp_path / "folder/durable.sqlite"
    for count in (1, 2):
        with closing(open_durable(path, [SCHEMA])) as rows, rows:
            rows.execute("INSERT INTO word VALUES ('kept')")
            assert rows.execute("SELECT count(*) FROM word").fetchone() == (count,)
            assert rows.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"


def test_durable_database_is_never_recreated(path: Path) -> None:
    before = path.read_bytes()
    with closing(sqlite3.connect(path)) as rows:
        rows.execute("PRAGMA user_version = 2")
    with pytest.raises(OtherVersionError):
        open_durable(path, [SCHEMA])
    assert words(path, version=2) == ["kept"]
    path.write_bytes(before[:100] + b"\xaa" * (len(before) - 100))
    damaged = path.read_bytes()
    with pytest.raises(sqlite3.DatabaseError):
        open_durable(path, [SCHEMA]).execute("SELECT * FROM word")
    assert path.read_bytes() == damaged


def test_durable_database_is_updated_from_any_version(tmp_path: Path) -> None:
    migrations = [
        f"{SCHEMA};\nINSERT INTO word VALUES ('first')",
        "ALTER TABLE word ADD COLUMN second TEXT",
        "UPDATE word SET second = 'second'",
    ]
    for version in range(4):
        path = tmp_path / f"{version}.sqlite"
        open_durable(path, migrations[:version]).close()
        for _ in range(2):
            with closing(open_durable(path, migrations)) as rows:
                assert rows.execute("SELECT * FROM word").fetchall() == [("first", "second")]


def test_failed_update_changes_nothing(path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        open_durable(path, [SCHEMA, "ALTER TABLE word ADD COLUMN second TEXT;\nBROKEN"])
    with closing(open_durable(path, [SCHEMA])) as rows:
        assert rows.execute("SELECT * FROM word").fetchall() == [("kept",)]
