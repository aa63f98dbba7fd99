"""Undoing a write: the file is restored byte for byte, or left untouched."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from mutagen.flac import FLAC

from covergen.core.album import Outcome, Status
from covergen.core.reasons import Reason
from covergen.journal import restore as undo
from covergen.journal.journal import Journal
from covergen.journal.restore import settle_planned, take_back
from covergen.journal.schema import WriteState
from covergen.library.formats.embedded_picture import is_front_cover
from covergen.library.pictures_in_files import edit_pictures
from covergen.library.writing import rewrite, sidecar
from covergen.library.writing.rewrite import RewriteOptions
from covergen.library.writing.sidecar import remove_sidecar, write_sidecar
from tests.media import CONTAINERS, EXTENSION, encode, put_tags
from tests.unit.library.journalled import album, last_write, open_run, tagged
from tests.unit.library.written import JPEG, PNG, large

# Some of these tests fork, which later Pythons warn of where there are threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture
def journal() -> Iterator[Journal]:
    with closing(Journal()) as journal:
        yield journal


def undone(journal: Journal, path: Path, *, dry_run: bool = False) -> Outcome:
    """Undo the last write of a file."""
    return take_back(last_write(journal, path), journal, RewriteOptions(), dry_run=dry_run)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("had_cover", [False, True], ids=["bare", "covered"])
def test_undo_restores_every_container_byte_for_byte(
    container: str, had_cover: bool, tmp_path: Path, journal: Journal
) -> None:
    song = tmp_path / f"song{EXTENSION[container]}"
    encode(song, container, seconds=0.5)
    put_tags(song, container, {"title": "T", "artist": "A"})
    if had_cover:
        edit_pictures(song, container, is_front_cover, JPEG)
    original = song.read_bytes()
    tagged(song, container, large(PNG, 100_000))
    assert song.read_bytes() != original

    outcome = undone(journal, song)

    assert outcome == Outcome(path=song, status=Status.WRITTEN, reason=Reason.UNDONE)
    assert song.read_bytes() == original
    assert list(song.parent.iterdir()) == [song]


def test_undo_restores_mtime_and_keeps_current_mode(song: Path, journal: Journal) -> None:
    song.chmod(0o640)
    os.utime(song, ns=(1_000_000_000_000_000_001, 1_000_000_000_000_000_003))
    tagged(song, "flac", PNG)
    assert song.stat().st_mtime_ns != 1_000_000_000_000_000_003
    song.chmod(0o604)  # by the user, since

    undone(journal, song)

    assert song.stat().st_mtime_ns == 1_000_000_000_000_000_003
    assert stat.S_IMODE(song.stat().st_mode) == 0o604


def test_writes_are_undone_last_first(song: Path, original: bytes, journal: Journal) -> None:
    tagged(song, "flac", PNG)
    between = song.read_bytes()
    tagged(song, "flac", JPEG)

    later, earlier = journal.history(song)
    outcome = take_back(earlier, journal, RewriteOptions())
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.CHANGED)
    assert "run 2" in outcome.message
    take_back(later, journal, RewriteOptions())
    assert song.read_bytes() == between
    take_back(earlier, journal, RewriteOptions())
    assert song.read_bytes() == original


def test_already_restored_file_is_unchanged(song: Path, original: bytes, journal: Journal) -> None:
    tagged(song, "flac", PNG)
    song.write_bytes(original)
    song.chmod(0o444)
    assert undone(journal, song).status is Status.UNCHANGED


@pytest.mark.parametrize("dry_run", [False, True])
def test_file_changed_since_is_not_restored(song: Path, journal: Journal, dry_run: bool) -> None:
    tagged(song, "flac", PNG)
    file = FLAC(song)
    file["title"] = "U"  # one letter, in the very bytes that are to go
    file.save()
    theirs = song.read_bytes()

    outcome = undone(journal, song, dry_run=dry_run)

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.CHANGED)
    assert "--force" in outcome.message
    assert song.read_bytes() == theirs


def remove(song: Path) -> None:
    song.unlink()


def make_a_link(song: Path) -> None:
    song.rename(song.with_name("elsewhere"))
    song.symlink_to("elsewhere")


def make_a_pipe(song: Path) -> None:
    song.unlink()
    os.mkfifo(song)


@pytest.mark.parametrize(
    ("change", "reason"),
    [(remove, Reason.GONE), (make_a_link, Reason.CHANGED), (make_a_pipe, Reason.CHANGED)],
)
def test_file_that_was_removed_or_replaced_is_reported(
    song: Path, journal: Journal, change: Callable[[Path], None], reason: Reason
) -> None:
    tagged(song, "flac", PNG)
    write = last_write(journal, song)
    change(song)
    outcome = take_back(write, journal, RewriteOptions())
    assert (outcome.status, outcome.reason) == (Status.FAILED, reason)


def test_missing_folder_is_reported_as_gone(
    tmp_path: Path, original: bytes, journal: Journal
) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    (folder / "song.flac").write_bytes(original)
    tagged(folder / "song.flac", "flac", PNG)
    with open_run(journal, folder, {"beside": True}) as run:
        write_sidecar(folder, PNG, record=run.record(album(folder)))
    folder.rename(tmp_path / "elsewhere")
    for name in ("song.flac", "cover.png"):
        outcome = undone(journal, folder / name)
        assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.GONE)
        assert "folder" in outcome.message


def test_dry_run_writes_nothing(song: Path, journal: Journal) -> None:
    tagged(song, "flac", PNG)
    before = song.read_bytes(), song.stat()
    assert undone(journal, song, dry_run=True).status is Status.WRITTEN
    assert (song.read_bytes(), song.stat()) == before


def test_hard_linked_file_is_skipped(song: Path, journal: Journal, tmp_path: Path) -> None:
    tagged(song, "flac", PNG)
    (tmp_path / "backup").hardlink_to(song)
    written = song.read_bytes()
    assert undone(journal, song).reason is Reason.HARD_LINKED
    assert song.read_bytes() == written
    options = RewriteOptions(hardlinks="break")
    assert take_back(last_write(journal, song), journal, options).status is Status.WRITTEN
    assert (tmp_path / "backup").read_bytes() == written


@pytest.mark.parametrize("dry_run", [False, True])
def test_read_only_file_is_skipped(song: Path, journal: Journal, dry_run: bool) -> None:
    tagged(song, "flac", PNG)
    song.chmod(0o444)
    written = song.read_bytes()
    assert undone(journal, song, dry_run=dry_run).reason is Reason.READ_ONLY
    assert song.read_bytes() == written


def test_damaged_reversal_changes_nothing(song: Path, journal: Journal) -> None:
    tagged(song, "flac", PNG)
    written = song.read_bytes()
    with journal.transaction() as rows:
        rows.execute("UPDATE writes SET reversal = substr(reversal, 1, length(reversal) - 3)")
    outcome = undone(journal, song)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.IRREVERSIBLE)
    assert "damaged" in outcome.message
    assert song.read_bytes() == written


def test_reversal_of_another_file_changes_nothing(
    song: Path, journal: Journal, tmp_path: Path
) -> None:
    other = tmp_path / "other/song.flac"
    other.parent.mkdir()
    encode(other, "flac", seconds=0.2)
    tagged(song, "flac", PNG)
    tagged(other, "flac", PNG)
    written = song.read_bytes()
    mixed = replace(last_write(journal, other), path=song, after=last_write(journal, song).after)
    outcome = take_back(mixed, journal, RewriteOptions())
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.NOT_VERIFIED)
    assert song.read_bytes() == written


# Cover files.


def test_cover_file_writes_are_undone(tmp_path: Path, journal: Journal) -> None:
    cover = tmp_path / "cover.png"
    with open_run(journal, tmp_path) as run:
        write_sidecar(tmp_path, PNG, record=run.record(album(tmp_path)))
    os.utime(cover, ns=(5, 7_000_000_000))
    with open_run(journal, tmp_path, {"strip": True}) as run:
        assert remove_sidecar(cover, record=run.record(album(tmp_path))).status is Status.WRITTEN
    assert not cover.exists()

    assert undone(journal, cover).status is Status.WRITTEN
    assert (cover.read_bytes(), cover.stat().st_mtime_ns) == (PNG.data, 7_000_000_000)
    first = journal.history(cover)[-1]
    assert take_back(first, journal, RewriteOptions()).status is Status.WRITTEN
    assert list(tmp_path.iterdir()) == []


def test_changed_cover_file_is_kept(tmp_path: Path, journal: Journal) -> None:
    with open_run(journal, tmp_path) as run:
        write_sidecar(tmp_path, PNG, record=run.record(album(tmp_path)))
    (tmp_path / "cover.png").write_bytes(JPEG.data)
    assert undone(journal, tmp_path / "cover.png").reason is Reason.CHANGED
    assert (tmp_path / "cover.png").read_bytes() == JPEG.data


def test_removed_cover_file_is_not_restored_over_another(tmp_path: Path, journal: Journal) -> None:
    cover = tmp_path / "cover.png"
    cover.write_bytes(PNG.data)
    with open_run(journal, tmp_path) as run:
        remove_sidecar(cover, record=run.record(album(tmp_path)))
    (tmp_path / "Cover.PNG").write_bytes(JPEG.data)
    assert undone(journal, cover).reason is Reason.CHANGED
    assert [path.name for path in tmp_path.iterdir()] == ["Cover.PNG"]


# Killed processes.


def killed_at(module: object, step: str, after: bool, job: Callable[[], object]) -> None:
    """Run a job in another process, which is killed before or after a step of it."""
    child = os.fork()
    if child == 0:
        real = getattr(module, step)

        def fatal(*args: object, **options: object) -> None:
            if after:
                real(*args, **options)
            os.kill(os.getpid(), 9)

        setattr(module, step, fatal)
        try:
            job()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == 9


STEPS = (
    "copy_bytes",
    "edit_pictures",
    "copy_metadata",
    "sync_file",
    "_change",
    "put_in_place",
)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_write_is_settled_and_undone(
    song: Path, original: bytes, journal: Journal, step: str, after: bool
) -> None:
    killed_at(rewrite, step, after, lambda: tagged(song, "flac", PNG))
    done = song.read_bytes() != original
    assert done == (step == "put_in_place" and after)
    assert {write.state for write in journal.history(song)} <= {WriteState.PLANNED}

    settle_planned(journal, [song.parent])

    assert [write.state for write in journal.history(song)] == [WriteState.DONE] * done
    if done:
        undone(journal, song)
    assert song.read_bytes() == original


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", ["copy_bytes", "copy_metadata", "sync_file", "put_in_place"])
def test_killed_undo_can_be_repeated(
    song: Path, original: bytes, journal: Journal, step: str, after: bool
) -> None:
    tagged(song, "flac", PNG)
    written = song.read_bytes()

    def undo_write() -> None:
        with closing(Journal()) as own:
            undone(own, song)

    killed_at(undo, step, after, undo_write)

    assert song.read_bytes() in (written, original)
    assert undone(journal, song).status in (Status.WRITTEN, Status.UNCHANGED)
    assert song.read_bytes() == original


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_cover_file_write_is_settled(tmp_path: Path, journal: Journal, after: bool) -> None:
    def job() -> None:
        with closing(Journal()) as own, open_run(own, tmp_path) as run:
            write_sidecar(tmp_path, PNG, record=run.record(album(tmp_path)))

    killed_at(sidecar, "_give_name", after, job)
    settle_planned(journal, [tmp_path])
    assert len(journal.history(tmp_path / "cover.png")) == after


def test_inaccessible_file_stays_planned(song: Path, journal: Journal) -> None:
    killed_at(rewrite, "put_in_place", True, lambda: tagged(song, "flac", PNG))
    (write,) = journal.history(song)
    make_a_link(song)
    settle_planned(journal, [song.parent])
    assert journal.planned() == [write]


def test_writes_in_other_places_are_not_settled(
    song: Path, tmp_path: Path, journal: Journal
) -> None:
    """Another process may be at work there."""
    killed_at(rewrite, "put_in_place", False, lambda: tagged(song, "flac", PNG))
    settle_planned(journal, [tmp_path / "another place"])
    assert [write.state for write in journal.history(song)] == [WriteState.PLANNED]
