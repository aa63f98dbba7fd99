"""`covergen demo`: a generated library, tagged, with a contact sheet of its covers."""

import re
from dataclasses import replace
from pathlib import Path

import mutagen
import pytest
from PIL import Image

from covergen.starter import songs
from tests.functional.conftest import Run, json_lines

DEMO = ("demo", "--model", "tiny")


@pytest.fixture(autouse=True)
def short_songs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the demo's songs to two seconds."""
    albums = tuple(
        replace(album, songs=tuple(replace(song, seconds=2.0) for song in album.songs))
        for album in songs.ALBUMS
    )
    monkeypatch.setattr(songs, "ALBUMS", albums)


def test_every_album_gets_a_cover_in_its_own_container(run: Run, tmp_path: Path) -> None:
    *albums, _ = json_lines(run(*DEMO, "--json", tmp_path / "demo"))
    assert [album["result"] for album in albums] == ["painted"] * 6
    tracks = [path for path in (tmp_path / "demo" / "Music").rglob("*") if path.is_file()]
    assert len(tracks) == 12
    assert {path.suffix for path in tracks} == {".mp3", ".flac", ".m4a", ".ogg", ".opus", ".wav"}
    for path in tracks:
        file = mutagen.File(path)
        names = "".join(str(tag) for tag in file)
        pictures = getattr(file, "pictures", None) or re.search(
            "APIC|covr|metadata_block_picture", names, re.IGNORECASE
        )
        assert pictures, path
    with Image.open(tmp_path / "demo" / "covers.png") as sheet:
        assert min(sheet.size) > 700


def test_a_second_demo_in_the_same_folder_changes_nothing(run: Run, tmp_path: Path) -> None:
    command = (*DEMO, "--albums", 1)
    first = run(*command, tmp_path).stderr
    assert "Making 1 album" in first
    assert first.splitlines()[-1].startswith("Next: covergen tag --dry-run ")
    with Image.open(tmp_path / "covers.png") as sheet:
        assert sheet.width > 300
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    second = run(*command, "--json", tmp_path)
    assert "Making" not in second.stderr
    assert [album["reason"] for album in json_lines(second)[:-1]] == ["has-art"]
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_folder_with_other_files_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    result = run(*DEMO, tmp_path, expect=2)
    assert "choose a new folder" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
