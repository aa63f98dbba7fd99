"""`covergen dataset`: pairs out of a library that nobody touches, and what a check says of them."""

import csv
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from covergen.datasets.folder import read_dataset
from tests.functional.conftest import Run, json_lines, snapshot
from tests.media import Library, encode, picture_bytes

ROOT = Path(__file__).parents[2]
COVERED = {"Above": 2, "Beside": 2, "Full": 3, "Half": 3}
"""The albums of the library that have a cover, with the pairs that three tracks of each make."""


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): data for path, (data, _) in snapshot(folder).items()}


def collected(run: Run, library: Library, folder: Path, *options: object) -> Path:
    """Make a dataset; the library's damaged files make it exit with 1."""
    run("dataset", "from-library", library.root, folder, *options, expect=1)
    return folder


def test_covers_and_excerpts_become_pairs_and_the_library_is_as_before(
    library: Library, run: Run, tmp_path: Path
) -> None:
    before = snapshot(library.root)
    folder = collected(run, library, tmp_path / "new/ds")

    assert snapshot(library.root) == before
    dataset = read_dataset(folder)
    assert dataset.problems == ()
    assert len(dataset.pairs) == sum(COVERED.values())
    assert len(dataset.albums) == len(COVERED)
    listed = rows(folder)
    assert {album: [r["album_name"] for r in listed].count(album) for album in COVERED} == COVERED
    assert {r["album_key"] for r in listed} == set(dataset.albums)
    beside = next(r for r in listed if r["album_name"] == "Beside")
    assert (library.root / beside["source"]).is_file()
    cover = folder / "cover_images" / beside["image_filename"]
    assert cover.read_bytes() == library.cover_file.read_bytes()


def test_a_second_run_does_only_what_is_new(library: Library, run: Run, tmp_path: Path) -> None:
    folder = collected(run, library, tmp_path / "ds")
    before = snapshot(folder)
    objects = json_lines(run("dataset", "from-library", "--json", library.root, folder, expect=1))

    assert snapshot(folder) == before
    reasons = [o["reason"] for o in objects if o["type"] == "album"]
    assert reasons.count("collected") == len(COVERED)
    (gone,) = (folder / "audio_snippets").glob("lu-full-02-*")
    gone.unlink()
    shutil.copytree(library.root / "Cover Beside", library.root / "New")
    for track in (library.root / "New").glob("*.opus"):
        track.rename(track.with_stem(f"New {track.stem}"))
    collected(run, library, folder)
    assert gone.exists(), "what was lost is made again"
    assert len(rows(folder)) == sum(COVERED.values()) + 2, "and has one row still"
    assert len(read_dataset(folder).pairs) == len(rows(folder))


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_is_gone_on_with(
    library: Library, run: Run, tmp_path: Path, stop: signal.Signals
) -> None:
    whole = contents(collected(run, library, tmp_path / "whole"))
    folder = tmp_path / "ds"
    process = subprocess.Popen(
        [sys.executable, "-m", "covergen", "dataset", "from-library", library.root, folder],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("collected"):
            process.send_signal(stop)
            break
    _, error = process.communicate(timeout=60)
    assert process.returncode == (130 if stop is signal.SIGINT else -stop)
    assert "Traceback" not in error
    assert 0 < len(rows(folder)) < sum(COVERED.values())

    assert set(contents(collected(run, library, folder))) == set(whole)
    assert rows(folder) == rows(tmp_path / "whole")
    assert not read_dataset(folder).problems


def test_a_dry_run_tells_the_plan_and_makes_nothing(
    library: Library, run: Run, tmp_path: Path
) -> None:
    arguments = ("dataset", "from-library", "-n", library.root, tmp_path / "ds")
    objects = json_lines(run(*arguments, "--json", "--per-album", 1, expect=1))
    shown = run(*arguments, expect=1).stdout

    targets = {o["title"]: len(o["targets"]) for o in objects if o.get("action") == "collect"}
    assert targets == dict.fromkeys(COVERED, 1)
    assert f"{sum(COVERED.values())} pairs would be made" in shown
    assert not (tmp_path / "ds").exists()


def test_painted_covers_are_left_out_unless_asked_for(
    library: Library, run: Run, tmp_path: Path
) -> None:
    music = library.root / "Two Discs"
    run("tag", "--model", "tiny", "--yes", music)

    objects = json_lines(run("dataset", "from-library", "--json", music, tmp_path / "ds"))
    assert [o["reason"] for o in objects if o["type"] == "album"] == ["painted-cover"]
    run("dataset", "from-library", "--include-painted", "--per-album", 9, music, tmp_path / "ds")
    assert len(read_dataset(tmp_path / "ds").pairs) == 4


def test_a_place_that_would_mix_with_the_library_or_with_other_things_is_refused(
    library: Library, run: Run, tmp_path: Path
) -> None:
    before = snapshot(tmp_path)
    (tmp_path / "link").symlink_to(library.root / "Podcasts")
    inside = library.root / "Sampler/ds"
    for folder in (inside, library.root, tmp_path / "link/ds", library.root.parent):
        error = run("dataset", "from-library", library.root, folder, expect=2).stderr
        assert "overlap" in error
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.txt").write_text("years of work")
    error = run("dataset", "from-library", library.root, tmp_path / "home", expect=2).stderr
    assert "no dataset" in error
    assert "Traceback" not in error
    (tmp_path / "link").unlink()
    shutil.rmtree(tmp_path / "home")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("seconds", [5, 25, "half"])
def test_odd_lengths_are_wrong_use(
    shared_library: Library, run: Run, tmp_path: Path, seconds: object
) -> None:
    arguments = ("dataset", "from-library", "--seconds", seconds, shared_library.root)
    run(*arguments, tmp_path / "ds", expect=2)
    assert not (tmp_path / "ds").exists()


def reference_dataset(folder: Path) -> Path:
    """Four pairs of three albums, by hand, as art-from-audio lays them out."""
    for name in ("audio_snippets", "cover_images", "audio_embeddings"):
        (folder / name).mkdir(parents=True)
    for number, color in enumerate((10, 10, 120, 240)):
        encode(folder / f"audio_snippets/{number}.mp3", "mp3", seconds=1, seed=number)
        data = picture_bytes("jpeg", 300, (color, 0, 0))
        (folder / f"cover_images/{number}.jpg").write_bytes(data)
        torch.save(torch.ones(1, 512), folder / f"audio_embeddings/{number}.pt")
    return folder


def test_a_check_counts_and_shows_what_is_there(run: Run, tmp_path: Path) -> None:
    folder = reference_dataset(tmp_path / "ds")
    before = contents(folder)
    shown = run("dataset", "check", folder).stdout

    assert "4 of 4 pairs are whole: 4 with sound, 4 with an embedding" in shown
    assert "3 albums with 3 different covers" in shown
    with Image.open(folder / "covergen-sheet.png") as sheet:
        reds = set(np.asarray(sheet.convert("RGB"))[..., 0].ravel().tolist())
    assert all(reds & set(range(color - 3, color + 4)) for color in (120, 240))
    run("dataset", "check", folder)
    (folder / "covergen-sheet.png").unlink()
    assert contents(folder) == before


def test_a_check_names_every_fault_and_exits_with_1_only_if_nothing_is_left(
    run: Run, tmp_path: Path
) -> None:
    folder = reference_dataset(tmp_path / "ds")
    (folder / "cover_images/0.jpg").unlink()
    whole = (folder / "cover_images/1.jpg").read_bytes()
    (folder / "cover_images/1.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cover_images/2.jpg").write_bytes(picture_bytes("jpeg", 64))
    (folder / "audio_snippets/3.mp3").write_text("no music")
    (folder / "audio_embeddings/3.pt").write_text("no tensor")

    *problems, summary = json_lines(run("dataset", "check", folder, "--json", "--no-sheet"))
    told = {(Path(p["path"]).name, p["reason"], p["severity"]) for p in problems}
    assert told == {
        ("0.mp3", "no-partner", "fault"),
        ("0.pt", "no-partner", "fault"),
        ("1.jpg", "unreadable", "fault"),
        ("2.jpg", "small-cover", "remark"),
        ("3.mp3", "not-audio", "fault"),
        ("3.pt", "bad-embedding", "fault"),
    }
    assert (summary["pairs"], summary["usable"], summary["trainable"]) == (3, 1, True)
    assert not list(folder.glob("*.png"))
    quiet = run("dataset", "check", folder, "-q", "--no-sheet").stdout
    assert "64 × 64" not in quiet
    assert "unreadable" in quiet

    (folder / "cover_images/2.jpg").write_text("no picture")
    result = run("dataset", "check", folder, "--no-sheet", expect=1)
    assert "cannot be trained on" in result.stderr


def test_a_broken_file_is_one_fault_and_its_pair_is_counted(run: Run, tmp_path: Path) -> None:
    for number in range(4):
        encode(tmp_path / f"{number}.mp3", "mp3", seconds=1, seed=number)
        (tmp_path / f"{number}.jpg").write_bytes(picture_bytes("jpeg", 300, (9 * number, 0, 0)))
    (tmp_path / "0.jpg").write_text("no picture")
    (tmp_path / "1.mp3").write_text("no sound")
    (tmp_path / "2.png").write_bytes(picture_bytes("png", 300))

    result = run("dataset", "check", tmp_path, "--no-sheet")
    assert "2 of 4 pairs are whole" in result.stdout
    assert result.stderr.splitlines()[-1] == f"Next: covergen finetune {tmp_path}"
    *problems, _ = json_lines(run("dataset", "check", tmp_path, "--no-sheet", "--json"))
    told = {(Path(p["path"]).name, p["reason"]) for p in problems}
    assert told == {("0.jpg", "not-a-picture"), ("1.mp3", "not-audio"), ("2.png", "same-stem")}
    assert any("2.jpg" in p["message"] and "taken" in p["message"] for p in problems)


def test_a_music_library_is_told_how_it_becomes_a_dataset(
    shared_library: Library, run: Run
) -> None:
    result = run("dataset", "check", shared_library.root, "--no-sheet", expect=1)
    assert f"covergen dataset from-library {shared_library.root} DIR" in result.stderr


def test_both_places_are_named_where_one_is_missing(run: Run, tmp_path: Path) -> None:
    assert "PATH... DIR" in run("dataset", "from-library", tmp_path, expect=2).stderr


def test_the_sheet_goes_where_it_is_wanted(run: Run, tmp_path: Path) -> None:
    folder = reference_dataset(tmp_path / "ds")
    run("dataset", "check", folder, "--sheet", tmp_path / "covers.png")

    assert (tmp_path / "covers.png").stat().st_size > 0
    assert not list(folder.glob("*.png"))
    run("dataset", "check", folder, "--sheet", tmp_path / "covers.jpg", expect=2)
    error = run("dataset", "check", folder, "--sheet", tmp_path / "no/x.png", expect=1).stderr
    assert "no/x.png" in error


def test_without_a_place_for_the_sheet_the_check_is_none_the_less_done(
    run: Run, tmp_path: Path
) -> None:
    folder = reference_dataset(tmp_path / "ds")
    (folder / "covergen-sheet.png").mkdir()
    result = run("dataset", "check", folder)

    assert "4 of 4 pairs" in result.stdout
    assert "no sheet" in result.stderr


def test_what_is_no_folder_is_wrong_use(run: Run, tmp_path: Path) -> None:
    assert "nowhere" in run("dataset", "check", tmp_path / "nowhere", expect=2).stderr
