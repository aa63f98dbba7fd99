"""`covergen strip`: what `tag` put in comes out, and nothing else changes."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from covergen.core.app_folders import state_folder
from covergen.core.errors import Interrupted
from covergen.jobs.strip import StripOptions, strip
from covergen.library.pictures_in_files import read_pictures
from tests.functional.conftest import Run, json_lines, snapshot
from tests.media import CONTAINERS, Library, encode


def pictures(path: Path, container: str) -> list[bytes]:
    return [picture.data for picture in read_pictures(path, container)]


def every_container(library: Library) -> Path:
    return next(iter(library.every_container.values())).parent


def test_tag_paints_anew_what_was_stripped(painted: Library, run: Run) -> None:
    folder = painted.root / "Two Discs"
    before = {path: data for path, (data, _) in snapshot(folder).items()}
    run("strip", folder)
    (album, _) = json_lines(run("tag", "-m", "tiny", "--json", "--sidecar", folder))
    assert (album["result"], album["reason"]) == ("painted", "no-cover")
    assert {path: data for path, (data, _) in snapshot(folder).items()} == before


def test_cover_files_of_its_own_go_and_those_of_others_stay(painted: Library, run: Run) -> None:
    own = painted.root / "Two Discs/cover.png"
    assert own.exists()
    run("strip", own.parent, painted.cover_file.parent)
    assert not own.exists()
    assert painted.cover_file.exists()


def test_what_was_not_painted_by_covergen_is_left_alone(library: Library, run: Run) -> None:
    before = snapshot(library.root)
    objects = json_lines(run("strip", "--json", library.root, expect=1))
    assert snapshot(library.root) == before
    assert {o["reason"] for o in objects if o["type"] == "album"} == {"not-own"}
    failed = {o["path"] for o in objects if o.get("status") == "failed"}
    assert failed == set(map(str, library.failures))


def test_a_plan_touches_nothing(painted: Library, run: Run) -> None:
    folder = every_container(painted)
    before = snapshot(folder)
    result = run("strip", "-n", folder, painted.cover_file.parent)
    assert snapshot(folder) == before
    assert "strip     holds-own" in result.stdout
    assert "skip      not-own" in result.stdout
    assert "without --dry-run" in result.stderr
    (album, *_) = json_lines(run("strip", "-n", "--json", folder))
    assert len(album["targets"]) == len(CONTAINERS)


def test_a_plan_counts_only_tracks_with_its_covers(painted: Library, run: Run) -> None:
    folder = painted.root / "Sampler"
    run("strip", folder / "02 Elm.mp3")
    assert "        1 file  contains a cover" in run("strip", "-n", folder).stdout


def test_a_dry_run_foresees_what_is_not_writable(painted: Library, run: Run) -> None:
    track = painted.root / "Two Discs/CD1/01 Up.mp3"
    track.chmod(0o444)
    for options in (("--dry-run",), ()):
        *_, summary = json_lines(run("strip", "--json", *options, track.parents[1], expect=1))
        failed = [file for file in summary["files"] if file["status"] == "failed"]
        assert failed == [{"status": "failed", "reason": "read-only", "count": 1}]


def test_a_journal_that_cannot_be_used_is_told_and_done_without(painted: Library, run: Run) -> None:
    folder = painted.root / "Two Discs"
    run("strip", painted.root / "Sampler")
    for path in state_folder().glob("journal.sqlite*"):
        path.write_bytes(b"no database" * 1000)
    note = run("strip", folder).stderr
    assert str(state_folder() / "journal.sqlite") in note
    assert "cannot be undone" in note
    assert not pictures(folder / "CD1/01 Up.mp3", "mp3")
    assert not (folder / "cover.png").exists()


def test_an_io_error_of_the_journal_stops_strip(
    painted: Library, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(painted.root)

    def fail(place: Path) -> object:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(shutil, "disk_usage", fail)
    assert "Run the command again" in run("strip", painted.root / "Two Discs", expect=1).stderr
    assert snapshot(painted.root) == before


def test_ctrl_c_stops_between_albums_and_the_next_run_does_the_rest(
    painted: Library, run: Run
) -> None:
    folders = (painted.root / "Two Discs", painted.root / "Sampler")
    done: list[object] = []

    def checkpoint() -> None:
        if done:
            raise Interrupted

    with pytest.raises(Interrupted):
        strip(StripOptions(paths=folders), done.append, checkpoint)

    assert len(done) == 1
    albums = [o for o in json_lines(run("strip", "--json", *folders)) if o["type"] == "album"]
    assert [album["result"] for album in albums] == ["skipped", "stripped"]
    assert len(run("runs").stdout.splitlines()) == 2, "the second goes on with the first"


def test_cover_files_next_to_music_that_cannot_hold_covers_are_removed(
    tmp_path: Path, run: Run
) -> None:
    encode(tmp_path / "Album/01 A.aac", "adts", seconds=0.5)
    run("tag", "-m", "tiny", "--yes", "--sidecar", tmp_path / "Album")
    assert (tmp_path / "Album/cover.png").exists()

    (album, _) = json_lines(run("strip", "--json", tmp_path / "Album"))

    assert album["result"] == "stripped"
    assert [path.name for path in (tmp_path / "Album").iterdir()] == ["01 A.aac"]
