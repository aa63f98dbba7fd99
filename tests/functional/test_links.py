"""Symbolic links out of the library are reported, and followed only with --follow-symlinks."""

from pathlib import Path

import pytest

from tests.functional.conftest import Run, json_lines, snapshot
from tests.media import encode, put_tags


@pytest.fixture
def linked(tmp_path: Path) -> tuple[Path, Path]:
    """A library with one track and a link, and the folder that the link points to."""
    library, outside = tmp_path / "library", tmp_path / "outside"
    for folder in (library / "in", outside):
        path = encode(folder / "01 Song.flac", "flac", seconds=0.5)
        put_tags(path, "flac", {"album": folder.name, "artist": "A", "title": "Song"})
    (library / "out").symlink_to(outside)
    return library, outside


def test_tag_follows_links_only_with_the_option(linked: tuple[Path, Path], run: Run) -> None:
    library, outside = linked
    before = snapshot(outside)
    *items, summary = json_lines(run("tag", "-m", "tiny", "--json", library))
    assert [item["path"] for item in items if item["type"] == "file"] == [str(library / "out")]
    assert summary["files"] == [
        {"status": "skipped", "reason": "outside", "count": 1},
        {"status": "written", "reason": "written", "count": 1},
    ]
    assert snapshot(outside) == before
    assert "--follow-symlinks" in run("tag", "-n", library).stdout
    run("strip", "--yes", library)
    run("tag", "-m", "tiny", "--follow-symlinks", library)
    assert snapshot(outside) != before
    assert (library / "out").is_symlink()
    run("strip", "--yes", library)
    assert snapshot(outside) != before
    run("undo", "--yes", 3)  # undo uses the journal, wherever the files are
    assert snapshot(outside).keys() == before.keys()
    assert {path: data for path, (data, _) in snapshot(outside).items()} == {
        path: data for path, (data, _) in before.items()
    }


def test_apply_follows_links_only_with_the_option(
    linked: tuple[Path, Path], run: Run, tmp_path: Path
) -> None:
    library, outside = linked
    before, preview = snapshot(outside), tmp_path / "preview"
    options = ("-m", "tiny", "--no-audio", "-o", preview, "--follow-symlinks")
    run("preview", *options, library)
    run("apply", "--yes", preview, expect=1)
    assert snapshot(outside) == before
    run("apply", "--yes", "--follow-symlinks", preview)
    assert snapshot(outside) != before


def test_reading_commands_follow_the_same_rule(
    linked: tuple[Path, Path], run: Run, tmp_path: Path
) -> None:
    library, _ = linked
    pairs = ("dataset", "from-library", "--dry-run", "--json", library, tmp_path / "pairs")
    for command in (
        ("embed", "-m", "tiny", "--json", library, "-o", tmp_path / "embedded"),
        ("generate", "-m", "tiny", "--json", library, "-o", tmp_path / "generated"),
        ("info", "--json", library),
        pairs,
    ):
        types = [item["type"] for item in json_lines(run(*command))]
        assert (types.count("file"), types.count("album")) == (1, 1), command
    types = [item["type"] for item in json_lines(run(*pairs, "--follow-symlinks"))]
    assert (types.count("file"), types.count("album")) == (0, 2)
