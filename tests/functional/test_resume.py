"""Runs that are stopped: nothing is lost, and at most two batches are painted again.

Tests in tests/faults kill processes.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray

from covergen.core.cover_encoding import read_provenance
from covergen.diffusion import sampler
from covergen.journal import restore
from covergen.library.writing import rewrite, sidecar
from tests.functional.conftest import Run, json_lines, snapshot
from tests.media import Library, picture_bytes, put_picture
from tests.media.oracle import front_cover

TAG = ("tag", "--yes", "--model", "tiny", "--batch-size", 3)


class _Stopped(BaseException):
    """Ends a run at once; unlike SIGKILL, it lets the run clean up."""


@contextmanager
def stopped_at(
    write: int, module: ModuleType = rewrite, step: str = "put_in_place"
) -> Iterator[None]:
    """Stop whatever is about to replace its Nth file."""
    replaced = 0
    real = getattr(module, step)

    def fatal(*args: object) -> None:
        nonlocal replaced
        replaced += 1
        if replaced == write:
            raise _Stopped
        real(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, step, fatal)
        try:
            yield
        except _Stopped:
            return
    pytest.fail("it was never stopped")


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many covers each batch had."""
    sizes = []
    paint_batch = sampler._paint_batch

    def counted(*args: object) -> NDArray[np.uint8]:
        pictures = paint_batch(*args)  # type: ignore[arg-type]  # as handed in
        sizes.append(len(pictures))
        return pictures

    monkeypatch.setattr(sampler, "_paint_batch", counted)
    return sizes


def folders(library: Library) -> list[Path]:
    """Three albums: as many as are painted at once."""
    return [library.root / name for name in ("Two Discs", "Sampler", "Icon Only")]


def test_stopped_run_is_resumed_and_undone_as_one(library: Library, run: Run) -> None:
    albums = folders(library)
    before = snapshot(library.root)
    with stopped_at(3):
        run(*TAG, *albums)
    half_done = snapshot(library.root)
    assert sum(half_done[path] != before[path] for path in before) == 2

    objects = json_lines(run(*TAG, "--json", *albums))

    results = sorted(o["result"] for o in objects if o["type"] == "album")
    assert results == ["filled", "painted", "painted"]
    done = snapshot(library.root)
    written = {path for path in before if done[path] != before[path]}
    assert written == {path for path in before if any(path.is_relative_to(f) for f in albums)} - {
        *library.ignored
    }
    assert all(done[path] == half_done[path] for path in before if half_done[path] != before[path])
    (only,) = json_lines(run("runs", "--json"))
    assert (only["written"], only["state"]) == (8, "done")
    run("undo")
    assert snapshot(library.root) == before


def test_an_undoing_that_was_stopped_goes_on(library: Library, run: Run) -> None:
    before = snapshot(library.root)
    run(*TAG, *folders(library))
    with stopped_at(4, restore):
        run("undo", "--yes")
    assert snapshot(library.root) != before
    (undoing, tagging) = json_lines(run("runs", "--json"))
    assert (tagging["state"], undoing["state"]) == ("partly undone", "stopped")

    run("undo")

    assert snapshot(library.root) == before
    (undoing, tagging) = json_lines(run("runs", "--json"))
    assert (tagging["state"], undoing["state"]) == ("undone", "done")


@pytest.mark.parametrize("write", [2, 6])
def test_resumed_force_run_repaints_only_unfinished_albums(
    library: Library, run: Run, painted: list[int], write: int
) -> None:
    for folder in folders(library):
        for path in folder.rglob("[0-9]*.mp3"):
            put_picture(path, "mp3", picture_bytes("jpeg", 60, (1, 2, 3)), kind=3)
    before = snapshot(library.root)
    force = (*TAG, "--force", *folders(library))
    with stopped_at(write):
        run(*force)
    half_done = snapshot(library.root)
    assert sum(half_done[path] != before[path] for path in before) == write - 1

    objects = json_lines(run(*force, "--json"))

    finished = 1 if write == 6 else 0  # the first album has four tracks
    assert painted == [3, 3 - finished]
    assert {o["result"] for o in objects if o["type"] == "album"} <= {"painted", "skipped"}
    done = snapshot(library.root)
    assert all(done[path] == half_done[path] for path in before if half_done[path] != before[path])
    assert sum(done[path] != before[path] for path in before) == 8
    run(*force)
    assert painted[2:] == [3], "once it is done, the same command is another run"
    run("undo")
    run("undo")
    assert snapshot(library.root) == before


@pytest.mark.parametrize("force", [False, True])
def test_cover_file_of_a_stopped_run_is_written(
    library: Library, run: Run, painted: list[int], *, force: bool
) -> None:
    folder = library.root / "Sampler"
    for path in folder.glob("*.mp3") if force else ():
        put_picture(path, "mp3", picture_bytes("jpeg", 60, (1, 2, 3)), kind=3)
    before = snapshot(folder)
    command = (*TAG, *(["--force"] if force else []), "--sidecar", folder)
    with stopped_at(1, sidecar, "_give_name"):
        run(*command)
    tagged = snapshot(folder)
    assert set(tagged) == set(before)

    run(*command)

    cover = folder / "cover.png"
    assert cover.read_bytes() == front_cover(folder / "01 Ash.mp3")
    assert snapshot(folder) == tagged | {cover: snapshot(folder)[cover]}
    assert painted == ([1, 1] if force else [1])
    run("undo")
    assert snapshot(folder) == before


def test_a_cover_file_of_another_encoding_is_painted_again(
    library: Library, run: Run, painted: list[int]
) -> None:
    folder = library.root / "Sampler"
    before = snapshot(folder)
    sizes = (*TAG, "--sidecar-for", "player", folder)
    with stopped_at(1, sidecar, "_give_name"):
        run(*sizes)
    tagged = snapshot(folder)
    assert set(tagged) == set(before)
    assert "has-art" in run(*TAG, "--seed", 1, "--sidecar-for", "player", folder).stdout

    run(*sizes)

    assert set(snapshot(folder)) == {*tagged, folder / "cover.jpg"}
    assert snapshot(folder).items() >= tagged.items()
    seeds = {
        read_provenance(data).seed  # type: ignore[union-attr]  # covergen painted both
        for data in (front_cover(folder / "01 Ash.mp3"), (folder / "cover.jpg").read_bytes())
    }
    assert (len(seeds), painted) == (1, [1, 1])
    run("undo")
    assert snapshot(folder) == before


def test_another_size_of_painting_is_another_run(library: Library, run: Run) -> None:
    first, second = library.root / "Sampler", library.root / "Two Discs"
    run("tag", "-y", "--model", "poster", "--size", 64, first)
    force = ("tag", "-y", "--model", "poster", "--size", 64, "--seed", 1, "--force", first, second)
    with stopped_at(len(list(first.glob("*.mp3"))) + 1):
        run(*force, "--batch-size", 1)
    (covered, *_) = json_lines(run(*force, "--paint-size", 128, "--json"))
    assert (covered["reason"], covered["provenance"]["painted_size"]) == ("forced", 128)


def test_what_a_failing_disk_kept_out_is_written_by_the_next_run(
    library: Library, run: Run, painted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = library.root / "Sampler"
    before = snapshot(folder)

    refuse = Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with monkeypatch.context() as patch:
        patch.setattr(sidecar, "_give_name", refuse)
        run(*TAG, "--sidecar", folder, expect=1)
    assert set(snapshot(folder)) == set(before)

    run(*TAG, "--sidecar", folder)

    assert (folder / "cover.png").read_bytes() == front_cover(folder / "01 Ash.mp3")
    assert painted == [1]
    run("undo")
    run("undo")
    assert snapshot(folder) == before
