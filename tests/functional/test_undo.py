"""`covergen undo` and `covergen runs` over a library of every container."""

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutagen.id3 import ID3, TIT2

from covergen.cli.output.lines import counted
from covergen.core.album import Action, AlbumPlan
from covergen.core.app_folders import state_folder
from covergen.core.cover import Cover
from covergen.core.cover_encoding import Encoding, encode
from covergen.core.reasons import Reason
from covergen.journal.journal import Journal
from covergen.library.pictures_in_files import read_pictures
from covergen.pipeline.options import WriteOptions
from covergen.pipeline.write_album import Writer, write_album
from tests.functional.conftest import Run, json_lines, snapshot
from tests.media import Library, picture_bytes, put_picture
from tests.unit.journal.test_lock import holder
from tests.unit.library.journalled import open_run
from tests.unit.library.written import track
from tests.values import PROVENANCE, make_album

TAG = ("tag", "--yes", "--model", "tiny")
OLD = picture_bytes("jpeg", 300, (9, 99, 200))


@pytest.fixture
def sampler(library: Library) -> Path:
    """An album of two MP3 files."""
    return library.root / "Sampler"


def tracks(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.mp3"))


def front_covers(path: Path) -> list[bytes]:
    return [p.data for p in read_pictures(path, "mp3") if p.kind == 3]


def tag(folder: Path, *, seed: int = 0, beside: bool = False) -> None:
    """What `covergen tag` does with an album of MP3 files, in no time."""
    pixels = np.full((16, 16, 3), 10 + seed, np.uint8)
    picture = encode(Cover(pixels=pixels, provenance=PROVENANCE), Encoding())
    songs = tuple(track(path, "mp3") for path in tracks(folder))
    album = make_album(folder, tracks=songs)
    plan = AlbumPlan(album=album, action=Action.PAINT, reason=Reason.FORCED, targets=songs)
    options = WriteOptions(sidecar=beside)
    with closing(Journal()) as journal, open_run(journal, folder, {"seed": seed}) as opened:
        writer = Writer(options=options, on_written=lambda _: None, run=opened)
        assert not write_album(plan, picture, PROVENANCE, writer).failed


def rename(path: Path, title: str) -> None:
    """Change a tag as another program would."""
    tags = ID3(path)
    tags.add(TIT2(encoding=3, text=[title]))
    tags.save(path)


def files(output: list[dict[str, Any]]) -> dict[str, str]:
    """What became of each file, by its name."""
    albums = [o for o in output if o["type"] == "album"]
    return {Path(f["path"]).name: f["reason"] for album in albums for f in album["files"]}


# What is promised.


def test_every_byte_and_time_of_the_library_comes_back(library: Library, run: Run) -> None:
    for container, path in library.every_container.items():
        if path.suffix in (".flac", ".wv", ".ogg"):
            put_picture(path, container, OLD, kind=3)
    before = snapshot(library.root)
    run(*TAG, "--sidecar", "--force", library.root, expect=1)
    assert snapshot(library.root) != before

    output = json_lines(run("undo", "--json"))

    assert snapshot(library.root) == before
    assert set(files(output).values()) == {"undone"}
    assert output[-1]["type"] == "summary"
    assert "Nothing to undo." in run("undo").stderr


def test_a_run_is_chosen_by_its_number(library: Library, run: Run, sampler: Path) -> None:
    before = snapshot(library.root)
    tag(sampler)
    tag(library.root / "Two Discs/CD1")
    run("undo", 1)
    after = snapshot(library.root)
    changed = {path.parent.name for path in before if after[path] != before[path]}
    assert changed == {"CD1"}
    assert "Nothing to undo" in run("undo", 1).stderr
    run("undo")
    assert snapshot(library.root) == before
    assert "covergen runs" in run("undo", 99, expect=2).stderr


def test_fill_and_strip_are_undone_too(library: Library, run: Run, sampler: Path) -> None:
    before = snapshot(library.root)
    run(*TAG, "--fill", library.half_bare[0].parent)
    run("undo")
    assert snapshot(library.root) == before
    tag(sampler, beside=True)
    covered = snapshot(sampler)
    run("strip", "--yes", sampler)
    assert front_covers(tracks(sampler)[0]) == []
    run("undo")
    assert snapshot(sampler) == covered


def test_what_the_last_scan_remembers_does_not_outlive_an_undoing(run: Run, sampler: Path) -> None:
    plan = (*TAG, "--dry-run", sampler)
    before = run(*plan).stdout
    run(*TAG, "--preserve-mtime", sampler)
    assert "has-art" in run(*plan).stdout
    run("undo")
    assert run(*plan).stdout.splitlines()[:3] == before.splitlines()[:3]


def test_a_dry_run_touches_nothing(library: Library, run: Run, sampler: Path) -> None:
    tag(sampler, beside=True)
    first, second = tracks(sampler)
    rename(second, "changed")
    before = snapshot(sampler), snapshot(state_folder())

    text = run("undo", "--dry-run", expect=1).stdout
    listed = run("undo", "--dry-run", "--verbose", expect=1).stdout
    output = json_lines(run("undo", "--dry-run", "--json", expect=1))

    assert (snapshot(sampler), snapshot(state_folder())) == before
    assert "undo      in-run             1 track" in text
    cover = sampler / "cover.png"
    assert f"        {cover}\n" in listed
    assert "another program has changed it" in text
    (failed,) = (o for o in output if o["type"] == "file")
    assert (failed["path"], failed["reason"]) == (str(second), "changed")
    (album,) = (o for o in output if o["type"] == "album")
    assert (album["action"], album["targets"]) == ("undo", [str(first), str(cover)])


@pytest.mark.parametrize("options", [(), ("--sidecar",), ("--sidecar", "--no-embed")])
@pytest.mark.parametrize("songs", [1, 2])
def test_tag_strip_and_undo_count_the_same_files_and_so_do_their_dry_runs(
    run: Run, sampler: Path, options: tuple[str, ...], songs: int
) -> None:
    for path in tracks(sampler)[songs:]:
        path.unlink()
    written = songs * ("--no-embed" not in options) + ("--sidecar" in options)

    tagged = run(*TAG, *options, sampler).stdout
    strip = run("strip", "--dry-run", sampler).stdout
    undo = run("undo", "--dry-run").stdout
    undone = run("undo").stdout

    for totals in (tagged, strip, undo, undone):
        assert f" {counted(written, 'file')}  " in totals


# What others changed.


def test_force_takes_our_cover_out_of_it_and_leaves_the_rest(run: Run, sampler: Path) -> None:
    first, second = tracks(sampler)
    back = picture_bytes("png", 40, (1, 2, 3))
    put_picture(second, "mp3", back, kind=4)
    before = snapshot(sampler)
    tag(sampler, beside=True)
    rename(second, "changed")
    (sampler / "cover.png").write_bytes(OLD)

    output = json_lines(run("undo", "--force", "--json", expect=1))

    stripped = {first.name: "undone", second.name: "stripped", "cover.png": "changed"}
    assert files(output) == stripped
    assert snapshot(sampler)[first] == before[first]
    assert [(p.data, p.kind) for p in read_pictures(second, "mp3")] == [(back, 4)]
    assert str(ID3(second)["TIT2"]) == "changed"
    assert (sampler / "cover.png").read_bytes() == OLD


def test_what_is_gone_is_told_and_with_force_passed_over(run: Run, sampler: Path) -> None:
    tag(sampler)
    tracks(sampler)[0].unlink()
    told = run("undo", expect=1).stdout
    assert "no longer exists" in told
    assert "another program has changed it" not in told
    for command in (("undo", "--force", "--dry-run", "--json"), ("undo", "--force", "--json")):
        summary = json_lines(run(*command))[-1]
        assert "undone" not in {album.get("result") for album in summary["albums"]}
        assert summary["files"] == [{"status": "skipped", "reason": "gone", "count": 1}]
    assert "Nothing to undo" in run("undo").stderr


def test_a_library_that_has_moved_is_not_taken_for_undone(run: Run, sampler: Path) -> None:
    tag(sampler)
    sampler.rename(sampler.with_name("moved"))
    for options in ((), ("--force",), ("--force", "--dry-run")):
        told = run("undo", *options, expect=1).stdout
        assert "its folder does not exist" in told
        assert "covergen strip" in told
    assert " 2 written " in run("runs").stdout
    assert "undone" not in run("runs").stdout


def test_what_cannot_be_undone_does_not_stand_in_the_way_of_earlier_runs(
    library: Library, run: Run, sampler: Path
) -> None:
    before = snapshot(sampler)
    tag(sampler)
    other = library.root / "Two Discs/CD1"
    tag(other)
    for path in tracks(other):
        rename(path, "changed")
    written = snapshot(sampler)
    error = run("undo", "--yes", expect=2).stderr
    assert "nothing left of run 2 can be undone" in error
    assert f"run 1, which is for another folder: {sampler}" in error
    assert snapshot(sampler) == written
    run("undo", "--yes", 1)
    assert snapshot(sampler) == before
    assert "changed" in run("undo", expect=1).stdout
    assert [line.split()[0] for line in run("runs").stdout.splitlines()[1:]] == ["3", "2", "1"], (
        "what undid nothing is no run"
    )


def test_after_a_run_that_wrote_nothing_no_run_of_another_library_is_undone_unasked(
    library: Library, run: Run, sampler: Path
) -> None:
    tag(sampler)
    written = snapshot(sampler)
    covered = library.root / "Two Discs"
    run(*TAG, covered)
    run("undo")
    run(*TAG, "--limit", 0, covered)  # finds nothing to do
    error = run("undo", "-y", expect=2).stderr
    assert f"(tag of {covered}) wrote nothing" in error
    assert "covergen undo 1" in error
    assert snapshot(sampler) == written
    assert f"(tag of {covered}) wrote nothing" in run("undo", "--dry-run").stderr
    run(*TAG, sampler)  # finds nothing to do, either, but where run 1 has been
    run("undo", "-y")
    assert snapshot(sampler) != written


def test_why_a_run_cannot_be_undone_is_told(run: Run, sampler: Path) -> None:
    tag(sampler)
    run("undo", 1)
    assert "run 1 is already undone" in run("undo", 1).stderr
    assert "run 2 undid run 1" in run("undo", 2).stderr
    with closing(Journal()) as journal, open_run(journal, sampler, {}) as opened:
        opened.finish_album(make_album(sampler), failed=1, complete=False)
    assert "run 3 wrote nothing" in run("undo", 3).stderr


def test_what_takes_a_run_back_may_be_pruned(run: Run, sampler: Path) -> None:
    tag(sampler)
    written = snapshot(sampler)
    with closing(Journal()) as journal:
        assert journal.prune(keep_bytes=0, keep_runs=0) == 1
    assert "irreversible" in run("undo", expect=1).stdout
    assert snapshot(sampler) == written
    run("undo", "--force")
    assert [front_covers(path) for path in tracks(sampler)] == [[], []]


# The list of runs.


def test_runs_lists_what_was_done_where_and_when(run: Run, sampler: Path) -> None:
    assert "There are no runs in the journal." in run("runs").stderr
    assert run("runs", "--json").stdout == ""
    run(*TAG, sampler)
    run(*TAG, sampler)  # which finds nothing to do
    run("undo")
    header, undoing, tagging = run("runs").stdout.splitlines()
    assert header.split() == ["RUN", "STARTED", "ACTION", "ALBUMS", "FILES", "STATE", "PATHS"]
    assert header.index("PATHS") == tagging.index(str(sampler))
    assert tagging.split()[0] == "1"
    assert "1 album        2 written      0 failed  undone" in tagging
    assert "undo 1" in undoing
    assert tagging.endswith(str(sampler))
    undo, tag = json_lines(run("runs", "--json"))
    assert (tag["action"], tag["albums"], tag["written"]) == ("tag", 1, 2)
    assert (tag["state"], tag["roots"]) == ("undone", [str(sampler)])
    assert tag["settings"]["preset"]["name"] == "tiny"
    assert (undo["undoes"], undo["written"]) == (1, 2)


# A journal that is no good.


def cut(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:5_000])


def overwrite(journal: Path) -> None:
    journal.write_bytes(b"no database" * 1_000)


def make_a_folder(journal: Path) -> None:
    journal.unlink()
    journal.mkdir()


@pytest.mark.parametrize("damage", [overwrite, make_a_folder])
def test_a_journal_that_is_no_good_is_told_and_music_stays(
    library: Library, run: Run, sampler: Path, damage: Callable[[Path], None]
) -> None:
    tag(sampler)
    journal = state_folder() / "journal.sqlite"
    damage(journal)
    before = snapshot(library.root)

    for command in (("runs",), ("undo",), (*TAG, library.root / "Two Discs")):
        error = run(*command, expect=1).stderr
        assert str(journal) in error
        assert "move it away" in error
        assert "No music found" not in error
    assert snapshot(library.root) == before
    journal.rename(journal.with_name("moved away"))
    tag(library.root / "Icon Only")
    assert "Icon Only" in run("runs").stdout


def test_without_a_journal_covers_are_written_nevertheless(run: Run, sampler: Path) -> None:
    (state_folder() / "journal.sqlite").mkdir(parents=True)
    run(*TAG, "--no-journal", sampler)
    assert all(front_covers(path) for path in tracks(sampler))


def test_without_its_journal_nothing_can_be_undone_and_nothing_is_lost(
    run: Run, sampler: Path
) -> None:
    tag(sampler)
    shutil.rmtree(state_folder())
    written = snapshot(sampler)
    assert "Nothing to undo" in run("undo").stderr
    assert snapshot(sampler) == written
    run("strip", "--yes", sampler)
    assert [front_covers(path) for path in tracks(sampler)] == [[], []]


# Two at a time.


def test_nothing_is_written_where_another_process_writes(
    library: Library, run: Run, sampler: Path
) -> None:
    before = snapshot(library.root)
    with holder(library.root):
        error = run(*TAG, sampler, expect=1).stderr
        run(*TAG, "--dry-run", sampler)
    assert "Another covergen is writing in" in error
    assert snapshot(library.root) == before
