"""`covergen tag --artists`: pictures in folders that are named after an artist."""

from pathlib import Path

import pytest
from PIL import Image

from tests.functional.conftest import Run, json_lines, snapshot
from tests.media import encode, picture_bytes

POSTER = ("--model", "poster", "--size", 64, "--json", "-y")


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Two albums by one artist, one by another, and a compilation; none has a cover."""
    root = tmp_path / "music"
    for artist, album, folder, kind in (
        ("The Ädna", "Noise", "Ädna, The", "noise"),
        ("The Ädna", "Tones", "Ädna, The", "tone"),
        ("Bo Ek", "Chords", "Bo Ek", "chord"),
        ("Various Artists", "Mix", "Compilations", "melody"),
    ):
        tags = {"artist": artist, "album_artist": artist, "album": album, "title": "Song"}
        encode(root / folder / album / "01 Song.flac", "flac", seconds=1.0, kind=kind, tags=tags)
    return root


def pictures(root: Path) -> set[str]:
    found = (path for path in root.rglob("*") if path.suffix in (".png", ".jpg"))
    return {path.relative_to(root).as_posix() for path in found}


def test_each_artist_folder_gets_a_picture_of_all_its_albums(music: Path, run: Run) -> None:
    before = snapshot(music)
    planned = json_lines(run("tag", "--artists", "-n", "--json", music))
    assert [(line["title"], line["tracks"]) for line in planned[:-1]] == [
        ("Bo Ek", 1), ("The Ädna", 2),
    ]  # fmt: skip
    assert snapshot(music) == before
    left = music / "Bo Ek/.covergen-0123abcd.tmp"
    left.touch()  # by a run that was killed

    run("tag", "--artists", *POSTER, music)

    assert pictures(music) == {"Bo Ek/artist.png", "Ädna, The/artist.png"}
    assert not left.exists()
    assert {path: kept for path, kept in snapshot(music).items() if path in before} == before
    with Image.open(music / "Bo Ek/artist.png") as image:
        assert image.size == (64, 64)


def test_a_dry_run_ends_like_the_run_without_its_model(music: Path, run: Run) -> None:
    for options in (("--dry-run",), ("--yes",)):
        error = run("tag", "--artists", "--base", music / "gone", *options, music, expect=1).stderr
        assert f"{music / 'gone'}" in error


def test_artists_with_a_picture_are_skipped(music: Path, run: Run) -> None:
    (music / "Bo Ek/Folder.JPG").write_bytes(picture_bytes("jpeg"))
    for _ in range(2):
        run("tag", "--artists", "--artist-name", "folder", *POSTER, music)
        assert pictures(music) == {"Ädna, The/folder.png"}
    lines = json_lines(run("tag", "--artists", *POSTER, music))
    assert [line["reason"] for line in lines[:-1]] == ["has-art", "has-art"]


@pytest.mark.parametrize("command", [("undo", "-y"), ("strip",)])
def test_pictures_of_artists_are_taken_out_again(
    music: Path, run: Run, command: tuple[str, ...]
) -> None:
    before = snapshot(music)
    run("tag", "--artists", *POSTER, music)
    if command == ("strip",):
        run("strip", music / "Bo Ek/Chords")
        assert "Bo Ek/artist.png" in pictures(music), "it is of the other albums, too"
        command = (*command, str(music))
    run(*command)
    assert snapshot(music) == before


def test_info_prints_the_command_that_paints_an_artist_again(music: Path, run: Run) -> None:
    picture = music / "Ädna, The/artist.png"
    run("tag", "--artists", *POSTER, "--seed", 3, music)
    painted = picture.read_bytes()
    (info,) = json_lines(run("info", "--json", picture))
    assert "--artists" in info["command"]
    assert any("Move the picture away" in proviso for proviso in info["provisos"])
    picture.unlink()
    run(*info["command"][1:], "-y")
    assert picture.read_bytes() == painted


def test_a_folder_above_the_paths_gets_no_picture(
    music: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for paths that do not contain a name: `.` is here an album and its artist."""
    tags = {"artist": "Cleo", "album": "Cleo", "title": "Song"}
    encode(music / "Cleo/Cleo/01.flac", "flac", seconds=1.0, tags=tags)
    for here, path in ((".", music / "Bo Ek/Chords"), (music / "Cleo/Cleo", ".")):
        monkeypatch.chdir(here)
        (line, _) = json_lines(run("tag", "--artists", *POSTER, path))
        assert (line["action"], line["reason"]) == ("skip", "outside")
    assert not pictures(music)

    monkeypatch.chdir(music / "Cleo")
    run("tag", "--artists", *POSTER, ".")
    assert pictures(music) == {"Cleo/artist.png"}
    run("strip", ".")
    assert not pictures(music)


def test_a_track_that_cannot_be_decoded_is_reported(music: Path, run: Run) -> None:
    track = music / "Ädna, The/Noise/01 Song.flac"
    head = track.read_bytes().partition(b"\xff\xf8")[0]
    track.write_bytes(head + bytes(1000))
    lines = json_lines(run("tag", "--artists", *POSTER, music, expect=1))
    files = {file["path"]: file["reason"] for line in lines[:-1] for file in line["files"]}
    assert files[str(track)] == "undecodable"
    assert "Ädna, The/artist.png" in pictures(music)


def test_defaults_for_covers_do_not_matter(
    music: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SIDECAR", "1"), ("FORCE", "1"), ("PER", "track")):
        monkeypatch.setenv(f"COVERGEN_TAG_{name}", value)
    planned = json_lines(run("tag", "--artists", "-n", "--json", music))
    assert [line["title"] for line in planned[:-1]] == ["Bo Ek", "The Ädna"]


@pytest.mark.parametrize(
    "option", ["--force", "--fill", "--sidecar", "--sidecar-for=player", "--per=track"]
)
def test_options_of_covers_are_refused(music: Path, run: Run, option: str) -> None:
    assert "cannot be combined" in run("tag", "--artists", option, music, expect=2).output
