"""`covergen generate` paints one picture for a playlist."""

from pathlib import Path

import pytest
from PIL import Image

from tests.functional.conftest import Run, json_lines, snapshot
from tests.media import encode

POSTER = ("--model", "poster", "--size", 64, "--json")


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for number, kind in enumerate(("noise", "tone", "chord")):
        path = tmp_path / f"music/Ädna/{kind}.flac"
        encode(path, "flac", seconds=1.0, kind=kind, seed=number)
    return tmp_path / "music"


def written(
    folder: Path, text: str, *, name: str = "Evening.m3u8", encoding: str = "utf-8"
) -> Path:
    folder.joinpath(name).write_text(text, encoding=encoding)
    return folder / name


def painted(run: Run, playlist: Path, output: Path, *, expect: int = 0) -> bytes:
    run("generate", playlist, "-o", output, *POSTER, expect=expect)
    with Image.open(output) as image:
        return image.convert("RGB").tobytes()


def test_a_picture_of_all_tracks(music: Path, run: Run, tmp_path: Path) -> None:
    playlist = written(music, "\ufeff#EXTM3U\n#EXTINF:1,Noise\nÄdna/noise.flac\n\nÄdna/tone.flac\n")
    before = snapshot(music)
    lines = json_lines(run("generate", playlist, "-o", tmp_path / "cover.png", *POSTER))

    assert (lines[0]["title"], lines[0]["tracks"]) == ("Evening", 2)
    assert lines[0]["files"][0]["path"] == str(tmp_path / "cover.png")
    assert snapshot(music) == before
    alone = written(music, "Ädna/noise.flac", name="Alone.m3u8")
    assert painted(run, alone, tmp_path / "a.png") != (tmp_path / "cover.png").read_bytes()


def test_an_existing_picture_is_kept(music: Path, run: Run, tmp_path: Path) -> None:
    playlist = written(music, "Ädna/noise.flac")
    (tmp_path / "Evening.png").write_bytes(b"mine")
    (line, _) = json_lines(run("generate", playlist, "-o", tmp_path, *POSTER))
    assert line["reason"] == "output-exists"
    assert (tmp_path / "Evening.png").read_bytes() == b"mine"


def test_older_playlists_and_those_of_windows(music: Path, run: Run, tmp_path: Path) -> None:
    pictures = [
        painted(run, written(music, text, name=name, encoding=encoding), tmp_path / f"{name}.png")
        for name, text, encoding in (
            ("a.m3u8", "Ädna/noise.flac\nÄdna/tone.flac\n", "utf-8"),
            ("b.m3u", "Ädna/noise.flac\r\nÄdna/tone.flac\r\n", "latin-1"),
            ("c.m3u8", "Ädna\\noise.flac\r\nÄdna\\tone.flac\r\n", "utf-8"),
            ("d.m3u8", f"{music}/Ädna/noise.flac\n{music}/Ädna/tone.flac\n", "utf-8"),
        )
    ]
    assert len(set(pictures)) == 1


def test_missing_files_are_reported_and_streams_are_not(
    music: Path, run: Run, tmp_path: Path
) -> None:
    playlist = written(music, "gone.flac\nhttp://radio.example/stream\nÄdna/noise.flac\n")
    result = run("generate", playlist, "-o", tmp_path / "a.png", *POSTER, expect=1)
    missing, album, _ = json_lines(result)
    assert (missing["path"], missing["status"]) == (str(music / "gone.flac"), "failed")
    assert album["tracks"] == 1


def test_a_playlist_without_files_is_an_error(music: Path, run: Run, tmp_path: Path) -> None:
    playlist = written(music, "#EXTM3U\ngone.flac\n")
    result = run("generate", playlist, "-o", tmp_path / "a.png", *POSTER, expect=2)
    assert "None of the files in the playlist" in result.output


def test_copies_of_a_playlist_get_a_picture_each(music: Path, run: Run, tmp_path: Path) -> None:
    playlists = [written(music, "Ädna/noise.flac", name=name) for name in ("a.m3u8", "b.m3u8")]
    run("generate", *playlists, "-o", tmp_path / "out", *POSTER)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "b.png"}


def test_lines_that_cannot_be_names_are_missing_files(
    music: Path, run: Run, tmp_path: Path
) -> None:
    names = ["x" * 5000, "y\\" * 5000, "nul\0", "Ädna/noise.flac"]
    playlist = written(music, "\n".join(names))
    lines = json_lines(run("generate", playlist, "-o", tmp_path / "a.png", *POSTER, expect=1))
    assert [line.get("reason") for line in lines[:3]] == ["gone"] * 3
    assert (tmp_path / "a.png").exists()


def test_tracks_that_cannot_be_decoded_are_reported(music: Path, run: Run, tmp_path: Path) -> None:
    track = music / "Ädna/noise.flac"
    track.write_bytes(track.read_bytes().partition(b"\xff\xf8")[0] + bytes(1000))
    playlist = written(music, "Ädna/noise.flac\nÄdna/tone.flac\n")
    (line, _) = json_lines(run("generate", playlist, "-o", tmp_path / "a.png", *POSTER, expect=1))
    assert [file["reason"] for file in line["files"]] == ["undecodable", "made"]
