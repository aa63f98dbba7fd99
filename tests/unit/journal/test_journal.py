"""The journal: records, resuming, pruning, and damage."""

import errno
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from unittest.mock import Mock

import pytest

from covergen.core.app_folders import state_folder
from covergen.core.errors import JournalError
from covergen.core.picture import Picture
from covergen.journal.journal import Journal
from covergen.journal.recorder import RunRecorder
from covergen.journal.schema import WriteState
from covergen.library.writing.exchange import exchange
from covergen.library.writing.fingerprint import has_fingerprint
from tests.unit.library.journalled import album, open_run, tagged, write
from tests.unit.library.written import JPEG, PNG, large, track
from tests.values import PROVENANCE


@pytest.fixture
def journal() -> Iterator[Journal]:
    with closing(Journal()) as journal:
        yield journal


@pytest.fixture
def songs(tmp_path: Path, original: bytes) -> list[Path]:
    paths = [tmp_path / f"{n}.flac" for n in range(3)]
    for path in paths:
        path.write_bytes(original)
    return paths


# Records.


def test_write_is_recorded_with_all_details(song: Path, journal: Journal) -> None:
    before, stamp = song.with_name("before"), track(song, "flac")
    shutil.copy(song, before)
    tagged(song, "flac", PNG)
    (found,) = journal.history(song)
    assert (found.path, found.container, found.run) == (song, "flac", 1)
    assert has_fingerprint(before, found.before)
    assert has_fingerprint(song, found.after)
    assert (found.stamp_before.size, found.stamp_before.mtime_ns) == (stamp.size, stamp.mtime_ns)
    assert found.stamp_after.mtime_ns == song.stat().st_mtime_ns
    assert (found.album, found.provenance) == (album(song.parent), PROVENANCE)
    assert found.state is WriteState.DONE
    assert journal.reversal(found) is not None


def test_run_is_recorded_with_all_details(songs: list[Path], journal: Journal) -> None:
    folder = songs[0].parent
    settings: dict[str, object] = {"seed": 7, "folder": folder, "of": PROVENANCE}
    with open_run(journal, folder, settings) as run:
        for path, key in zip(songs, "aab", strict=True):
            write(path, "flac", PNG, run, key)
        run.finish_album(album(folder, "a"), failed=2, complete=False)
    (found,) = journal.runs()
    assert (found.id, found.action, found.roots) == (1, "tag", (folder,))
    assert found.settings["seed"] == 7
    assert found.settings["of"]["guidance"] == PROVENANCE.guidance
    assert (found.albums, found.written, found.failed, found.undone) == (2, 3, 2, 0)
    assert found.finished is not None
    assert 0 <= found.finished - found.started < 60
    assert journal.run(1) == found
    assert journal.run(2) is None
    by_album = [[write.path for write in writes] for writes in journal.writes(1)]
    assert by_album == [[songs[2]], [songs[1], songs[0]]]


def test_history_follows_symlinks(song: Path, tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "link.flac").symlink_to(song)
    tagged(tmp_path / "link.flac", "flac", PNG)
    assert journal.history(tmp_path / "link.flac") == journal.history(song) != []


def test_undecodable_file_names_round_trip(song: Path, tmp_path: Path, journal: Journal) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.flac"))
    song.rename(odd)
    tagged(odd, "flac", PNG)
    assert [write.path for write in journal.history(odd)] == [odd]


def test_journal_file_is_not_created_without_writes(journal: Journal) -> None:
    assert (journal.runs(), journal.run(1), journal.left_to_undo()) == ([], None, [])
    assert journal.size().writes == 0
    assert journal.prune() == 0
    with open_run(journal, Path("/music")):
        pass
    assert not state_folder().exists()


def test_write_is_committed_before_the_file_is_replaced(
    song: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = []

    def watched(one: Path, other: Path) -> bool:
        with closing(sqlite3.connect(journal.path)) as rows:
            states.extend(rows.execute("SELECT state FROM writes").fetchall())
        return exchange(one, other)

    monkeypatch.setattr("covergen.library.writing.rewrite.exchange", watched)
    tagged(song, "flac", PNG)
    assert states == [("planned",)]
    with closing(sqlite3.connect(journal.path)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with journal.transaction() as rows:
        assert rows.execute("PRAGMA synchronous").fetchone() == (2,), "FULL: each commit is synced"


def test_identical_removed_pictures_are_stored_once(songs: list[Path], journal: Journal) -> None:
    old = large(JPEG, 200_000)
    for path in songs:
        tagged(path, "flac", old)
    before = journal.size().reversal_bytes
    with open_run(journal, songs[0].parent, {"force": True}) as run:
        for path in songs:
            write(path, "flac", PNG, run)
    assert 200_000 <= journal.size().reversal_bytes - before < 210_000


# Resuming.


def test_same_command_resumes_an_interrupted_run(songs: list[Path], journal: Journal) -> None:
    folder = songs[0].parent
    stopped = RunRecorder(journal, "tag", (folder,), {"seed": 1})
    write(songs[0], "flac", PNG, stopped)
    stopped.finish_album(album(folder), failed=0, complete=True)
    with open_run(journal, folder, {"seed": 2}) as other:
        assert not other.has_finished(album(folder))
        write(songs[1], "flac", PNG, other)
    with open_run(journal, folder, {"seed": 1}) as same:
        assert same.has_finished(album(folder))
        assert not same.has_finished(album(folder, "another"))
        write(songs[2], "flac", PNG, same)
    with open_run(journal, folder, {"seed": 1}) as later:
        assert not later.has_finished(album(folder))
    runs = {run.id: run for run in journal.runs()}
    written = {number: run.written for number, run in runs.items()}
    assert written == {1: 2, 2: 1, 3: 0}, "empty runs are recorded too"
    assert all(run.finished for run in runs.values())


def test_failed_album_is_retried(song: Path, journal: Journal) -> None:
    run = RunRecorder(journal, "tag", (song.parent,), {})
    run.finish_album(album(song.parent), failed=1, complete=False)
    assert not RunRecorder(journal, "tag", (song.parent,), {}).has_finished(album(song.parent))


def test_album_changed_since_is_not_finished(song: Path, journal: Journal) -> None:
    mine = replace(album(song.parent), tracks=(track(song, "flac"),))
    run = RunRecorder(journal, "tag", (song.parent,), {})
    write(song, "flac", PNG, run)
    run.finish_album(mine, failed=0, complete=True)
    run = RunRecorder(journal, "tag", (song.parent,), {})
    assert not run.has_finished(mine), "it is as it was before the run"
    assert run.has_finished(replace(mine, tracks=(track(song, "flac"),)))


def test_undone_run_is_not_resumed(song: Path, journal: Journal) -> None:
    stopped = RunRecorder(journal, "tag", (song.parent,), {})
    write(song, "flac", PNG, stopped)
    RunRecorder(journal, "undo", (song.parent,), {"undoes": 1}).undo(*journal.history(song))
    tagged(song, "flac", JPEG)
    assert [run.id for run in journal.runs()] == [3, 2, 1]


def test_last_run_to_undo_is_one_with_writes(songs: list[Path], journal: Journal) -> None:
    folder = songs[0].parent
    tagged(songs[0], "flac", PNG)
    with open_run(journal, folder, {"second": True}) as run:
        write(songs[1], "flac", PNG, run)
    with open_run(journal, folder, {"third": True}) as run:
        run.finish_album(album(folder), failed=1, complete=False)
    last = next(iter(journal.left_to_undo()), None)
    assert last is not None
    assert last.id == 2
    undoing = RunRecorder(journal, "undo", (folder,), {"undoes": 2})
    undoing.undo(*journal.history(songs[1]))
    undoing.finish()
    last = next(iter(journal.left_to_undo()), None)
    assert last is not None
    assert last.id == 1
    undo, _, second, _ = journal.runs()
    assert (undo.undoes, undo.written) == (2, 1)
    assert (second.written, second.undone) == (1, 1)


# Pruning.


def test_prune_deletes_reversals_of_the_oldest_runs_first(
    songs: list[Path], journal: Journal
) -> None:
    for n, path in enumerate(songs):
        with open_run(journal, path.parent, {"n": n}) as run:
            write(path, "flac", large(JPEG, 50_000), run)
            write(path, "flac", PNG, run)
    full = journal.size()
    assert full.reversal_bytes > 0

    assert journal.prune(keep_bytes=full.reversal_bytes) == 0
    assert journal.prune(keep_bytes=full.reversal_bytes - 1) == 1

    kept = [[journal.reversal(w) is not None for w in journal.history(path)] for path in songs]
    assert kept == [[False, False], [True, True], [True, True]]
    assert journal.size().reversal_bytes < full.reversal_bytes
    assert (len(journal.runs()), journal.size().writes) == (3, full.writes)
    assert journal.prune(keep_bytes=0) == 1, "the last run stays"
    assert journal.prune(keep_bytes=0, keep_runs=0) == 1
    assert journal.size().reversal_bytes == 0


def test_file_shrinks_after_prune(song: Path, journal: Journal) -> None:
    noise = random.Random(1).randbytes(3_000_000)
    cover = Picture.parse(JPEG.data + noise)
    tagged(song, "flac", cover)
    with open_run(journal, song.parent, {"force": True}) as run:
        write(song, "flac", PNG, run)
    assert journal.size().file_bytes > 3_000_000
    journal.prune(keep_bytes=0, keep_runs=0)
    assert journal.size().file_bytes < 300_000


# Damage.


def test_journal_of_a_later_version_is_reported_and_kept(song: Path, journal: Journal) -> None:
    tagged(song, "flac", PNG)
    with closing(sqlite3.connect(journal.path)) as rows:
        rows.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="later version"):
        journal.runs()
    with closing(sqlite3.connect(journal.path)) as rows:
        assert rows.execute("SELECT count(*) FROM writes").fetchone() == (1,)


@pytest.fixture
def damaged(song: Path, original: bytes) -> bytes:
    """The bytes of a journal with one write."""
    tagged(song, "flac", PNG)
    song.write_bytes(original)
    return (state_folder() / "journal.sqlite").read_bytes()


def reports_damage(path: Path) -> bool:
    """Whether any query of a journal reports damage."""
    with closing(Journal(path)) as journal:
        try:
            for run in journal.runs():
                for write in chain.from_iterable(journal.writes(run.id)):
                    journal.history(write.path)
                    with suppress(ValueError):
                        journal.reversal(write)
            journal.left_to_undo()
            journal.planned()
            journal.size()
        except JournalError as error:
            return str(path) in error.message and "move it away" in error.hint
    return False


def test_truncated_journal_is_reported_or_readable(damaged: bytes, tmp_path: Path) -> None:
    reported = 0
    for length in range(0, len(damaged), 1_531):
        path = tmp_path / f"{length}.sqlite"
        path.write_bytes(damaged[:length])
        reported += reports_damage(path)
    assert reported > 5


def test_journal_with_flipped_bits_is_reported_or_readable(damaged: bytes, tmp_path: Path) -> None:
    source = random.Random(7)
    for n in range(150):
        data = bytearray(damaged)
        for at in source.sample(range(len(data)), 30):
            data[at] ^= 1 << source.randrange(8)
        path = tmp_path / f"{n}.sqlite"
        path.write_bytes(data)
        reports_damage(path)


def fill(journal: Journal) -> None:
    with journal.transaction() as rows:
        for _ in range(1000):
            rows.execute("INSERT INTO pictures VALUES (hex(randomblob(16)), zeroblob(4000))")


@pytest.mark.parametrize(
    ("pragma", "message", "hint"),
    [
        ("max_page_count = 1", "its disk is full", "free some space"),
        ("query_only = 1", "readonly", "is intact"),
    ],
)
def test_unwritable_journal_is_reported_as_intact(
    song: Path, original: bytes, pragma: str, message: str, hint: str
) -> None:
    tagged(song, "flac", PNG)
    with closing(Journal()) as journal:
        rows = journal._open()
        rows.execute(f"PRAGMA {pragma}")
        with pytest.raises(JournalError, match=message) as caught:
            fill(journal)
        assert hint in caught.value.hint
        assert "move it away" not in caught.value.hint


def test_check_writable_detects_a_full_disk(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Journal()) as journal:
        journal.check_writable()
        assert not journal.path.exists()
        tagged(song, "flac", PNG)
        journal.check_writable()
        usage = shutil.disk_usage("/")._replace(free=0)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(JournalError, match="its disk is full"):
            journal.check_writable()


def test_check_writable_names_an_unwritable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write anywhere
    with (
        closing(Journal(tmp_path / "none/yet/journal.sqlite")) as journal,
        pytest.raises(JournalError, match=f"{tmp_path} is not writable") as caught,
    ):
        journal.check_writable()
    assert "intact" not in caught.value.hint


def test_file_is_not_written_if_it_cannot_be_recorded(song: Path, original: bytes) -> None:
    path = state_folder() / "journal.sqlite"
    path.mkdir(parents=True)
    with pytest.raises(JournalError, match="cannot be used"):
        tagged(song, "flac", PNG)
    assert song.read_bytes() == original
    assert list(song.parent.iterdir()) == [song]


def test_io_error_is_reported(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Mock(side_effect=OSError(errno.EIO, os.strerror(errno.EIO)))
    monkeypatch.setattr(Path, "exists", failing)
    with pytest.raises(JournalError, match=os.strerror(errno.EIO)):
        journal.runs()
