"""The scan cache returns what was stored, and a broken cache is never an error."""

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from covergen.core.album import Track
from covergen.core.reasons import Reason
from covergen.library.scanning import scan_cache as memory_module
from covergen.library.scanning.scan_cache import Failure, ScanCache

_FOLDER = Path("/music/An Album")
_NAMES = [
    "01 plain.mp3",
    "new\nline.mp3",
    "🎧 東京.mp3",
    os.fsdecode(b"latin-1 \xe9\xff.mp3"),
    "x" * 255,
]


def _track(name: str) -> Track:
    return Track(
        path=_FOLDER / name,
        size=123,
        mtime_ns=1_700_000_000_123_456_789,
        container="mp3",
        has_art=True,
        duration_seconds=61.25,
        title="Große Fuge",
        artist="An Artist",
        album="An Album",
        album_artist="Various Artists",
        date="1997-05-21",
        disc_number=2,
        track_number=7,
        compilation=True,
        musicbrainz_album_id="an id",
    )


def _failure(name: str) -> Failure:
    return Failure(
        path=_FOLDER / name, size=5, mtime_ns=-1, reason=Reason.NOT_AUDIO, message="no music"
    )


def test_cached_tracks_and_failures_are_recalled_unchanged() -> None:
    seen = {name: _track(name) for name in _NAMES} | {"text.mp3": _failure("text.mp3")}
    scan_cache = ScanCache()
    scan_cache.remember(*seen.values())
    scan_cache.close()
    assert ScanCache().recall(_FOLDER) == seen


def test_recall_returns_only_files_of_the_folder() -> None:
    scan_cache = ScanCache()
    scan_cache.remember(_track("a.mp3"))
    assert scan_cache.recall(_FOLDER.parent) == {}
    assert scan_cache.recall(_FOLDER / "a.mp3") == {}


def test_relative_and_absolute_paths_are_equivalent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_cache = ScanCache()
    monkeypatch.chdir(tmp_path)
    relative = Track(path=Path("a.mp3"), size=1, mtime_ns=2, container="mp3", has_art=False)
    scan_cache.remember(relative)
    assert scan_cache.recall(Path()) == {"a.mp3": relative}
    assert scan_cache.recall(tmp_path)["a.mp3"].path == tmp_path / "a.mp3"


def test_entries_can_be_replaced_and_forgotten() -> None:
    scan_cache = ScanCache()
    scan_cache.remember(_track("a.mp3"), _track("b.mp3"))
    scan_cache.remember(_failure("b.mp3"))
    scan_cache.forget(_FOLDER / "a.mp3", _FOLDER / "never there")
    assert scan_cache.recall(_FOLDER) == {"b.mp3": _failure("b.mp3")}


@pytest.mark.parametrize("mtime_ns", [0, -(10**18), 2**63, 2**64 * 10**9])
def test_extreme_mtimes_are_stored(mtime_ns: int) -> None:
    track = Track(
        path=_FOLDER / "a.mp3", size=2**62, mtime_ns=mtime_ns, container="mp3", has_art=False
    )
    scan_cache = ScanCache()
    scan_cache.remember(track)
    assert scan_cache.recall(_FOLDER) == {"a.mp3": track}


def test_entries_of_another_reader_version_are_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scan_cache = ScanCache()
    scan_cache.remember(_track("a.mp3"))
    scan_cache.close()
    monkeypatch.setattr(memory_module, "_READER_VERSION", -1)
    assert ScanCache().recall(_FOLDER) == {}


@pytest.mark.parametrize(
    "change",
    ["details = '[1'", "details = '[]'", "details = x'00'", "mtime_ns = 'soon'", "name = 7"],
)
def test_invalid_rows_are_ignored(tmp_path: Path, change: str) -> None:
    path = tmp_path / "scan.sqlite"
    with closing(ScanCache(path)) as scan_cache:
        scan_cache.remember(_track("a.mp3"))
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute(f"UPDATE seen SET {change}")
    with closing(ScanCache(path)) as scan_cache:
        assert scan_cache.recall(_FOLDER) == {}
        scan_cache.remember(_track("b.mp3"))


def test_database_errors_are_suppressed(tmp_path: Path) -> None:
    scan_cache = ScanCache(tmp_path / "scan.sqlite")
    with sqlite3.connect(tmp_path / "scan.sqlite") as other:
        other.execute("DROP TABLE seen")
    other.close()
    scan_cache.remember(_track("a.mp3"))
    scan_cache.forget(_FOLDER / "a.mp3")
    assert scan_cache.recall(_FOLDER) == {}


def _let_time_pass(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    then = memory_module.today() + days
    monkeypatch.setattr(memory_module, "today", lambda: then)


def test_close_removes_unused_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    scan_cache = ScanCache()
    other = Path("/music/Another Album")
    scan_cache.remember(_track("a.mp3"), replace(_track("b.mp3"), path=other / "b.mp3"))
    _let_time_pass(monkeypatch, 100)
    assert scan_cache.recall(_FOLDER)
    scan_cache.close()
    _let_time_pass(monkeypatch, 100)
    ScanCache().close()
    scan_cache = ScanCache()
    assert list(scan_cache.recall(_FOLDER)) == ["a.mp3"]
    assert scan_cache.recall(other) == {}


def test_forget_lost_removes_missing_files(tmp_path: Path) -> None:
    here = replace(_track("a.mp3"), path=tmp_path / "a.mp3")
    deleted = replace(_track("b.mp3"), path=tmp_path / "b.mp3")
    here.path.touch()
    scan_cache = ScanCache()
    scan_cache.remember(here, deleted, _track("elsewhere.mp3"))
    assert scan_cache.forget_lost() == 2
    assert scan_cache.recall(tmp_path) == {"a.mp3": here}
