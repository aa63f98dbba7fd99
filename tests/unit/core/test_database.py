"""Databases that can be made again: kept whenever they are sound, and never a reason to stop."""

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


def words(path: Path, *, version: int = 1, anew: bool = False) -> list[str]:
    """What a newly opened cache holds, which must work in any case."""
    with closing(open_cache("", SCHEMA, version, path=path, anew=anew)) as cache:
        found = [text for (text,) in cache.execute("SELECT text FROM word")]
        with cache:
            cache.execute("INSERT INTO word VALUES ('more')")
        assert cache.execute("SELECT count(*) FROM word").fetchone() == (len(found) + 1,)
    return found


def test_what_is_sound_is_kept(path: Path) -> None:
    assert words(path) == ["kept"]
    assert words(path) == ["kept", "more"]


def test_another_version_is_begun_anew(path: Path) -> None:
    assert words(path, version=2) == []
    assert words(path, version=2) == ["more"]


def test_it_is_begun_anew_on_demand(path: Path) -> None:
    assert words(path, anew=True) == []
    assert words(path) == ["more"]


@pytest.mark.parametrize("start", [0, 100])
def test_a_damaged_one_is_begun_anew(path: Path, start: int) -> None:
    """Without its header, and with a header and no sound page."""
    data = bytearray(path.read_bytes())
    data[start:4096] = b"\xaa" * (4096 - start)
    path.write_bytes(data)
    assert words(path) == []
    assert words(path) == ["more"]


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_costs_nothing_that_was_there(path: Path) -> None:
    with full_disk():
        words(path)
    assert words(path) == ["kept"]


def test_one_that_another_program_locks_is_done_without(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def impatient(path: Path | str, **options: object) -> sqlite3.Connection:
        return connect(path, **{**options, "timeout": 0.01})  # type: ignore[call-overload]  # as handed in

    monkeypatch.setattr(database.sqlite3, "connect", impatient)
    with closing(connect(path)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        assert words(path) == []
    assert words(path) == ["kept"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_one_that_cannot_be_written_is_left_alone(path: Path) -> None:
    path.chmod(0o400)
    path.parent.chmod(0o500)
    words(path)
    path.parent.chmod(0o700)
    path.chmod(0o600)
    assert words(path) == ["kept"]


def test_no_folder_is_no_error(tmp_path: Path) -> None:
    assert words(tmp_path / "missing" / "a.sqlite") == []
    (tmp_path / "file").write_text("no folder")
    assert words(tmp_path / "file" / "a.sqlite") == []


def test_a_name_lies_in_the_cache_folder(home: Path) -> None:
    open_cache("a.sqlite", SCHEMA, 1).close()
    assert list((home / "cache").rglob("a.sqlite"))


def test_a_cache_folder_that_cannot_be_made_is_no_error(home: Path) -> None:
    (home / "cache").write_text("a file where the folder would be")
    with closing(open_cache("a.sqlite", SCHEMA, 1)) as cache:
        assert cache.execute("SELECT text FROM word").fetchall() == []


def test_usage_is_told_without_making_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sub/odd ?#%20 name.sqlite"
    assert usage_of(path, "a", 3) == Usage(path=path, size_bytes=0)
    assert not path.parent.exists()
    with closing(open_cache("", "CREATE TABLE a (b)", 3, path=path)) as rows, rows:
        rows.executemany("INSERT INTO a VALUES (?)", [(1,), (2,)])
    assert usage_of(path, "a", 3) == Usage(path=path, size_bytes=path.stat().st_size, rows=2)
    assert list(path.parent.iterdir()) == [path]
    assert "another version" in usage_of(path, "a", 4).fault
    path.write_bytes(b"no database" * 1000)
    assert "damaged" in usage_of(path, "a", 3).fault
    assert path.read_bytes() == b"no database" * 1000


# What cannot be made again.


def test_a_durable_one_is_kept_and_each_commit_is_synced(tmp_path: Path) -> None:
    path = tmp_path / "folder/durable.sqlite"
    for count in (1, 2):
        with closing(open_durable(path, SCHEMA, 1)) as rows, rows:
            rows.execute("INSERT INTO word VALUES ('kept')")
            assert rows.execute("SELECT count(*) FROM word").fetchone() == (count,)
            assert rows.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"


def test_a_durable_one_is_never_begun_anew(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(OtherVersionError):
        open_durable(path, SCHEMA, 2)
    assert words(path) == ["kept"]
    path.write_bytes(before[:100] + b"\xaa" * (len(before) - 100))
    damaged = path.read_bytes()
    with pytest.raises(sqlite3.DatabaseError):
        open_durable(path, SCHEMA, 1).execute("SELECT * FROM word")
    assert path.read_bytes() == damaged
