"""Typeset titles, and covers encoded for their purposes, on the command line."""

import io
import shlex
from pathlib import Path

import numpy as np
import pytest
from mutagen.flac import FLAC
from PIL import Image

from tests.functional.conftest import Run, json_lines
from tests.functional.previews import Preview
from tests.media import encode

POSTER = ("--model", "poster")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """An album without a cover."""
    tags = {"artist": "Ada Lind", "album": "Fog", "title": "Drift", "album_artist": "Ada Lind"}
    for number in (1, 2):
        encode(tmp_path / f"music/Fog/0{number} Drift.flac", "flac", seconds=1.0, tags=tags)
    return tmp_path / "music/Fog"


def embedded(album: Path) -> bytes:
    return bytes(FLAC(album / "01 Drift.flac").pictures[0].data)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_small_cover_is_embedded_and_a_large_one_written_beside(album: Path, run: Run) -> None:
    run("tag", *POSTER, "--for", "player", "--sidecar-for", "archive", "-y", album)

    small, large = opened(embedded(album)), opened((album / "cover.png").read_bytes())
    assert (small.format, small.size) == ("JPEG", (600, 600))
    assert len(embedded(album)) <= 200_000
    assert (large.format, large.size) == ("PNG", (1024, 1024))
    shrunk = np.asarray(large.convert("RGB").resize((600, 600), Image.Resampling.LANCZOS))
    assert np.abs(shrunk - np.asarray(small).astype(float)).mean() < 4  # the same picture


def test_explicit_options_override_the_purpose(album: Path, run: Run, tmp_path: Path) -> None:
    track = album / "01 Drift.flac"
    options = ("--for", "player", "--size", 300, "--max-bytes", 16_384)
    run("generate", *POSTER, *options, track, "-o", tmp_path / "small.jpg")
    image = opened((tmp_path / "small.jpg").read_bytes())
    assert image.format == "JPEG"
    assert image.width <= 300
    assert (tmp_path / "small.jpg").stat().st_size <= 16_384


def test_the_command_printed_by_info_repeats_titles_and_sizes(album: Path, run: Run) -> None:
    track = album / "01 Drift.flac"
    purposes = ("--for", "player", "--sidecar-for", "archive", "--max-bytes", 30_000)
    run("tag", *POSTER, "--title", "full", *purposes, "-y", album)
    painted = embedded(album)
    (info,) = json_lines(run("info", "--json", track))
    assert info["provenance"]["title"] == "full"
    assert "title full" in run("info", track).output
    words = shlex.split(shlex.join(info["command"]))

    run("strip", album)
    run(*words[1:], "-y")

    assert embedded(album) == painted


def test_a_title_changes_the_picture_and_none_is_set_by_default(album: Path, run: Run) -> None:
    covers = []
    for options in ((), ("--title", "none"), ("--title", "title"), ("--title", "full")):
        run("tag", *POSTER, "--force", *options, "-y", album)
        covers.append(np.asarray(opened(embedded(album)).convert("RGB")))
    assert np.array_equal(covers[0], covers[1])
    assert not np.array_equal(covers[1], covers[2])
    assert not np.array_equal(covers[2], covers[3])


def test_a_title_in_letters_of_no_font_is_left_out_with_one_note(tmp_path: Path, run: Run) -> None:
    title = "\U0001e900\ue000"  # the second is for private use: no font has it
    tags = {"artist": "Ada Lind", "album": title, "title": "Drift"}
    track = encode(tmp_path / "music/01.flac", "flac", seconds=1.0, tags=tags)
    result = run(
        "preview", *POSTER, "--title", "title", "--candidates", 2, "--size", 64, track,
        "-o", tmp_path / "preview",
    )  # fmt: skip
    assert result.stderr.count("has no title: no font") == 1
    assert len(Preview(tmp_path / "preview").covers(title)) == 2


def test_a_file_name_is_set_without_its_underscores(tmp_path: Path, run: Run) -> None:
    options = ("--title", "title", "--size", 300, "--json")
    covers = []
    for name, tags in (("night_bus", {}), ("night bus", {}), ("tagged", {"title": "night_bus"})):
        track = encode(tmp_path / f"{name}.flac", "flac", seconds=1.0, tags=tags)
        run("generate", *POSTER, *options, track, "-o", tmp_path / f"{name}.png")
        covers.append(np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")))
    assert np.array_equal(covers[0], covers[1])
    assert not np.array_equal(covers[1], covers[2])


def test_a_model_may_ask_for_titles(album: Path, run: Run, home: Path) -> None:
    models = home / "config/covergen/models.toml"
    models.write_text(models.read_text() + 'title = "title"\n')
    run("tag", "--model", "tiny", "-y", album)
    assert opened(embedded(album)).info["covergen:title"] == "title"
    run("tag", "--model", "tiny", "--title", "none", "--force", "-y", album)
    assert opened(embedded(album)).info["covergen:title"] == "none"


def test_a_preview_offers_covers_with_and_without_their_titles(
    album: Path, run: Run, tmp_path: Path
) -> None:
    folder, titled = tmp_path / "preview", ("--title", "title", "--candidates", 2, "--size", 200)
    run("preview", album, "-o", folder, *POSTER, *titled)
    preview = Preview(folder)
    covers = [opened(path.read_bytes()) for path in preview.covers("Fog")]
    titles = [cover.info["covergen:title"] for cover in covers]
    seeds = [cover.info["covergen:seed"] for cover in covers]
    assert titles == ["title", "none", "title", "none"]
    assert seeds[0] == seeds[1] != seeds[2] == seeds[3]

    kept = run("preview", album, "-o", folder, *POSTER, *titled, "--json")
    assert json_lines(kept)[0]["reason"] == "kept"

    before = [path.read_bytes() for path in preview.covers("Fog")]
    preview.covers("Fog")[0].unlink()
    run("preview", album, "-o", folder, *POSTER, *titled)
    assert [path.read_bytes() for path in preview.covers("Fog")] == before

    choices = preview.choose(tmp_path / "choices.json", Fog={"choice": 2})
    run("apply", folder, "--choices", choices, "-y")
    chosen = opened(embedded(album))
    assert chosen.info["covergen:title"] == "none"
    assert np.array_equal(np.asarray(chosen.convert("RGB")), np.asarray(covers[1].convert("RGB")))


@pytest.mark.parametrize("option", [("--format", "jpeg"), ("--for", "player")])
def test_a_file_name_of_another_format_is_refused(
    option: tuple[str, str], album: Path, run: Run, tmp_path: Path
) -> None:
    track = album / "01 Drift.flac"
    error = run("generate", *POSTER, track, "-o", tmp_path / "a.png", *option, expect=2).stderr
    assert f"{' '.join(option)} does not go with a.png" in error
    assert not list(tmp_path.glob("a.png"))
