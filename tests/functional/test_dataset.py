"""`covergen dataset`: making pairs from a library without changing it, and checking them."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from covergen.datasets.folder import read_dataset
from covergen.datasets.metadata import MetadataFile, Row
from tests.functional.conftest import Run, json_lines, snapshot
from tests.media import Library, encode, picture_bytes

COVERED = {"Above": 2, "Beside": 2, "Full": 3, "Half": 3}
"""The albums of the library with a cover, and the number of pairs of each."""


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): data for path, (data, _) in snapshot(folder).items()}


def collected(run: Run, library: Library, folder: Path, *options: object) -> Path:
    """Make a dataset. Exits with 1 because of the library's damaged files."""
    run("dataset", "from-library", library.root, folder, *options, expect=1)
    return folder


def test_pairs_are_made_and_the_library_is_unchanged(
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


def test_second_run_adds_only_new_pairs(library: Library, run: Run, tmp_path: Path) -> None:
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
    assert gone.exists(), "a lost excerpt is made again"
    assert len(rows(folder)) == sum(COVERED.values()) + 2, "and has no second row"
    assert len(read_dataset(folder).pairs) == len(rows(folder))


def test_stopped_run_can_be_continued(
    library: Library, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = contents(collected(run, library, tmp_path / "whole"))
    folder = tmp_path / "ds"
    append = MetadataFile.append

    def stopped_at_the_fourth(self: MetadataFile, row: Row) -> None:
        if len(rows(folder)) == 3:
            raise KeyboardInterrupt  # the files of this pair are there
        append(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(MetadataFile, "append", stopped_at_the_fourth)
        run("dataset", "from-library", library.root, folder, expect=130)
    (folder / "audio_snippets/.covergen-0123abcd.tmp").write_bytes(b"half an excerpt")
    assert len(rows(folder)) == 3
    assert set(contents(collected(run, library, folder))) == set(whole)
    assert rows(folder) == rows(tmp_path / "whole")
    assert not read_dataset(folder).problems


def test_dry_run_shows_the_plan_and_writes_nothing(
    library: Library, run: Run, tmp_path: Path
) -> None:
    arguments = ("dataset", "from-library", "-n", library.root, tmp_path / "ds")
    objects = json_lines(run(*arguments, "--json", "--per-album", 1, expect=1))
    shown = run(*arguments, expect=1).stdout
    targets = {o["title"]: len(o["targets"]) for o in objects if o.get("action") == "collect"}
    assert targets == dict.fromkeys(COVERED, 1)
    assert f"{sum(COVERED.values())} pairs would be made" in shown
    assert not (tmp_path / "ds").exists()


def test_painted_covers_are_skipped_by_default(library: Library, run: Run, tmp_path: Path) -> None:
    music = library.root / "Two Discs"
    run("tag", "--model", "tiny", "--yes", music)
    objects = json_lines(run("dataset", "from-library", "--json", music, tmp_path / "ds"))
    assert [o["reason"] for o in objects if o["type"] == "album"] == ["painted-cover"]
    run("dataset", "from-library", "--include-painted", "--per-album", 9, music, tmp_path / "ds")
    assert len(read_dataset(tmp_path / "ds").pairs) == 4


def test_folder_within_the_library_or_with_other_files_is_rejected(
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
    assert "not a dataset" in error
    assert "Traceback" not in error
    (tmp_path / "link").unlink()
    shutil.rmtree(tmp_path / "home")
    assert snapshot(tmp_path) == before


def reference_dataset(folder: Path) -> Path:
    """Four pairs of three albums in art-from-audio's layout."""
    for name in ("audio_snippets", "cover_images", "audio_embeddings"):
        (folder / name).mkdir(parents=True)
    for number, color in enumerate((10, 10, 120, 240)):
        encode(folder / f"audio_snippets/{number}.mp3", "mp3", seconds=1, seed=number)
        data = picture_bytes("jpeg", 300, (color, 0, 0))
        (folder / f"cover_images/{number}.jpg").write_bytes(data)
        torch.save(torch.ones(1, 512), folder / f"audio_embeddings/{number}.pt")
    return folder


def test_check_counts_the_pairs_and_makes_a_sheet(run: Run, tmp_path: Path) -> None:
    folder = reference_dataset(tmp_path / "ds")
    before = contents(folder)
    shown = run("dataset", "check", folder).stdout
    assert "4 of 4 pairs usable: 4 with audio, 4 with an embedding" in shown
    assert "3 albums with 3 different covers" in shown
    with Image.open(folder / "covergen-sheet.png") as sheet:
        reds = set(np.asarray(sheet.convert("RGB"))[..., 0].ravel().tolist())
    assert all(reds & set(range(color - 3, color + 4)) for color in (120, 240))
    run("dataset", "check", folder)
    (folder / "covergen-sheet.png").unlink()
    assert contents(folder) == before


def test_check_reports_every_problem(run: Run, tmp_path: Path) -> None:
    folder = reference_dataset(tmp_path / "ds")
    (folder / "cover_images/0.jpg").unlink()
    whole = (folder / "cover_images/1.jpg").read_bytes()
    (folder / "cover_images/1.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cover_images/2.jpg").write_bytes(picture_bytes("jpeg", 64))
    (folder / "cover_images/2.png").write_bytes(picture_bytes("png", 300))
    (folder / "audio_snippets/3.mp3").write_text("not audio")
    (folder / "audio_embeddings/3.pt").write_text("not a tensor")
    encode(folder / "audio_snippets/4.mp3", "mp3", seconds=1)
    (folder / "cover_images/4.jpg").write_text("not a picture")

    *problems, summary = json_lines(run("dataset", "check", folder, "--json", "--no-sheet"))
    found = {(Path(p["path"]).name, p["reason"], p["severity"]) for p in problems}
    assert found == {
        ("0.mp3", "no-partner", "fault"),
        ("0.pt", "no-partner", "fault"),
        ("1.jpg", "unreadable", "fault"),
        ("2.jpg", "small-cover", "remark"),
        ("2.png", "same-stem", "fault"),
        ("3.mp3", "not-audio", "fault"),
        ("3.pt", "bad-embedding", "fault"),
        ("4.jpg", "not-a-picture", "fault"),
    }
    assert any("2.jpg is used" in p["message"] for p in problems)
    assert (summary["usable"], summary["trainable"]) == (1, True)
    assert not list(folder.glob("*.png"))
    quiet = run("dataset", "check", folder, "-q", "--no-sheet")
    assert "1 of 4 pairs usable" in quiet.stdout
    assert "64 × 64" not in quiet.stdout
    assert "unreadable" in quiet.stdout
    shown = run("dataset", "check", folder, "--no-sheet")
    assert shown.stderr.splitlines()[-1] == f"Next: covergen finetune {folder}"

    (folder / "cover_images/2.jpg").write_text("not a picture")
    (folder / "cover_images/2.png").unlink()
    result = run("dataset", "check", folder, "--no-sheet", expect=1)
    assert "cannot be trained on" in result.stderr


def test_check_of_a_music_library_suggests_from_library(shared_library: Library, run: Run) -> None:
    result = run("dataset", "check", shared_library.root, "--no-sheet", expect=1)
    assert f"covergen dataset from-library {shared_library.root} DIR" in result.stderr


def test_sheet_can_be_written_elsewhere_or_fail(run: Run, tmp_path: Path) -> None:
    folder = reference_dataset(tmp_path / "ds")
    run("dataset", "check", folder, "--sheet", tmp_path / "covers.png")
    assert (tmp_path / "covers.png").stat().st_size > 0
    assert not list(folder.glob("*.png"))
    run("dataset", "check", folder, "--sheet", tmp_path / "covers.jpg", expect=2)
    error = run("dataset", "check", folder, "--sheet", tmp_path / "no/x.png", expect=1).stderr
    assert "no/x.png" in error
    (folder / "covergen-sheet.png").mkdir()
    result = run("dataset", "check", folder)
    assert "4 of 4 pairs" in result.stdout
    assert "No contact sheet" in result.stderr
