"""`covergen strip`: what `tag` put in comes out, and nothing else changes."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from covergen.core.errors import Interrupted
from covergen.core.paths import state_folder
from covergen.jobs.strip import StripOptions, strip
from covergen.library.pictures import read_pictures
from tests.functional.conftest import Run, json_lines, snapshot
from tests.functional.painted import BACK
from tests.media import CONTAINERS, Library, decoded_hash, encode


def pictures(path: Path, container: str) -> list[bytes]:
    return [picture.data for picture in read_pictures(path, container)]


def every_container(library: Library) -> Path:
    return next(iter(library.every_container.values())).parent


def test_covers_come_out_of_every_container(painted: Library, run: Run) -> None:
    sounds = {path: decoded_hash(path) for path in painted.every_container.values()}

    (album, summary) = json_lines(run("strip", "--json", every_container(painted)))

    assert (album["action"], album["reason"], album["result"]) == ("strip", "holds-own", "stripped")
    assert summary["files"] == [
        {"status": "written", "reason": "stripped", "count": len(CONTAINERS)}
    ]
    for container, path in painted.every_container.items():
        assert pictures(path, container) == ([] if container == "mp4" else [BACK])
        assert decoded_hash(path) == sounds[path]
    assert not list(painted.root.rglob(".covergen-*"))


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


def test_what_a_killed_run_left_goes_where_nothing_else_is_to_be_done(
    library: Library, run: Run
) -> None:
    folder = library.root / "Sampler"
    before = snapshot(folder)
    (folder / ".covergen-0123abcd.tmp").write_bytes(b"the old file, or half a copy")
    run("strip", folder)
    assert snapshot(folder) == before


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


def test_hard_linked_files_are_left_alone_unless_their_links_may_break(
    painted: Library, run: Run, tmp_path: Path
) -> None:
    track = painted.root / "Sampler/01 Ash.mp3"
    (tmp_path / "seed.mp3").hardlink_to(track)
    (album, _) = json_lines(run("strip", "--json", track.parent))
    assert {f["reason"] for f in album["files"]} == {"hard-linked", "stripped"}
    run("strip", "--hardlinks", "break", track.parent)
    assert not pictures(track, "mp3")
    assert pictures(tmp_path / "seed.mp3", "mp3")


def test_it_is_undone_as_other_runs_are(painted: Library, run: Run) -> None:
    folders = every_container(painted), painted.root / "Two Discs"
    before = snapshot(painted.root)
    run("strip", *folders)
    assert not (folders[1] / "cover.png").exists()
    run("undo", "--dry-run")
    assert not (folders[1] / "cover.png").exists()
    run("undo", "--yes")
    assert snapshot(painted.root) == before


def _damage(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in state_folder().glob("journal.sqlite*"):
        path.write_bytes(b"no database" * 1000)


def _fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage

    def usage(place: Path) -> object:
        found = free(place)
        return found._replace(free=0) if place.is_relative_to(state_folder()) else found

    monkeypatch.setattr(shutil, "disk_usage", usage)


def _put_a_folder_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(state_folder())
    (state_folder() / "journal.sqlite").mkdir(parents=True)


@pytest.mark.parametrize("harm", [_damage, _fill_the_disk, _put_a_folder_in_its_place])
def test_a_journal_that_cannot_be_used_is_told_and_done_without(
    painted: Library,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    harm: Callable[[pytest.MonkeyPatch], None],
) -> None:
    folder = painted.root / "Two Discs"
    run("strip", painted.root / "Sampler")
    harm(monkeypatch)
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
