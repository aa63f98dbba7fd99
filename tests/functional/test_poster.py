"""`--model poster` and `--finish print` on the command line."""

import io
import shlex
from pathlib import Path

import numpy as np
import pytest
from mutagen.flac import FLAC
from numpy.typing import NDArray
from PIL import Image

from tests.functional.conftest import Run, json_lines
from tests.media import Library

STYLED = """
[styled]
base = "procedural"
clap = "package:starter/weights/clap"
adapter = "package:starter/weights/mood.safetensors"
styles = ["op art", "ink brush"]
"""
POSTER = ("generate", "--model", "poster", "--json")


def opened(path: Path) -> Image.Image:
    image = Image.open(path)
    image.load()
    return image


def test_a_poster_has_the_requested_size_and_names_its_model(
    library: Library, run: Run, tmp_path: Path
) -> None:
    track = library.every_container["flac"]
    posters = []
    for name, *options in (["a"], ["b", "--size", 300], ["c", "--size", 300, "--seed", 2]):
        run(*POSTER, track, "-o", tmp_path / f"{name}.png", *options)
        posters.append(opened(tmp_path / f"{name}.png"))
    assert [poster.size for poster in posters] == [(1024, 1024), (300, 300), (300, 300)]
    assert posters[0].info["covergen:model"] == "poster"
    assert posters[0].info["covergen:base"] == "procedural"
    one, other = (np.asarray(poster.convert("RGB")).astype(int) for poster in posters[1:])
    assert np.abs(one - other).mean() > 5  # another seed


def test_the_command_printed_by_info_repaints_the_poster(
    library: Library, run: Run, tmp_path: Path
) -> None:
    track = library.every_container["flac"]
    options = ("--size", 200, "--finish", "print", "--inks", 4)
    run("tag", "--model", "poster", *options, "--quality", "best", "-y", track.parent)
    command = next(
        line.split(maxsplit=1)[1]
        for line in run("info", track).output.splitlines()
        if line.split()[:1] == ["again"]
    )
    painted = embedded(track)
    words = shlex.split(command)
    assert words[0] == "covergen"
    assert words[words.index("--style") + 1] == ""  # painted without a style
    run("tag", "--model", "poster", *options, "--force", "--seed", 9, "-y", track.parent)
    assert not np.array_equal(embedded(track), painted)
    run(*words[1:], "-y")
    assert np.array_equal(embedded(track), painted)


def embedded(track: Path) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(FLAC(track).pictures[0].data)) as image:
        return np.asarray(image.convert("RGB"))


def test_a_style_selects_the_family_and_composition_of_a_poster(
    library: Library, run: Run, tmp_path: Path
) -> None:
    track = library.every_container["flac"]
    for style in ("record grooves", "Cut paper, tunnel, centred"):
        run(*POSTER, track, "-o", tmp_path / f"{style}.png", "--size", 64, "--style", style)
        assert opened(tmp_path / f"{style}.png").info["covergen:style"] == style
    result = run(*POSTER, track, "-o", tmp_path / "c.png", "--style", "watercolor", expect=2)
    assert "has no style 'watercolor'" in result.output
    assert "record grooves" in result.output
    result = run(*POSTER, track, "-o", tmp_path / "c.png", "--style", "op art, arcs", expect=2)
    assert "one of two discs, waves, bulge, split" in " ".join(result.output.split())


@pytest.mark.parametrize("given", ["as options", "by the model"])
def test_several_styles_are_distributed_over_albums_and_recorded(
    given: str, library: Library, run: Run, home: Path
) -> None:
    options: tuple[str, ...] = ("--model", "poster")
    if given == "as options":
        options += ("--style", "op art", "--style", "ink brush")
    else:
        (home / "config/covergen/models.toml").write_text(STYLED)
        options = ("--model", "styled")
    paths = list(library.every_container.values())[:6]
    run("tag", *options, "--size", 64, "--per", "track", "-y", *paths)
    found = {
        found["provenance"]["style"]
        for path in paths
        for found in json_lines(run("info", "--json", path))
    }
    assert found == {"op art", "ink brush"}


@pytest.mark.parametrize("option", [("--steps", 30), ("--guidance", 5), ("--quality", "reference")])
def test_options_of_diffusion_are_refused(
    option: tuple[str, str | int], library: Library, run: Run, tmp_path: Path
) -> None:
    track = library.every_container["flac"]
    result = run(*POSTER[:-1], track, "-o", tmp_path / "a.png", *option, expect=2)
    name = option[0] if isinstance(option[1], int) else " ".join(map(str, option))
    assert f"{name} does not apply to 'poster'" in result.output


def test_poster_is_listed_as_procedural_and_cannot_be_trained(
    library: Library, run: Run, tmp_path: Path
) -> None:
    run("dataset", "from-library", library.root / "Fully Covered", tmp_path / "pairs")
    for options in ((), ("--recipe", "reference")):
        result = run("finetune", tmp_path / "pairs", "--model", "poster", *options, expect=2)
        assert "draws by rules and cannot be trained" in result.output
    listed = run("models", "list").output.splitlines()
    assert any(line.startswith("poster") and "Procedural" in line for line in listed)
    shown = run("models", "show", "poster").output
    assert "procedural" in shown
    assert "drawn by rules; 3 windows" in shown


def test_a_print_has_few_colors_at_the_default_size(
    library: Library, run: Run, tmp_path: Path
) -> None:
    track = library.every_container["flac"]
    command = ("generate", track, "-o", tmp_path / "a.png", "--model", "tiny", "--inks", 3)
    assert "--inks applies to the finishes print and paper" in run(*command, expect=2).output
    run(*command, "--finish", "print")
    image = opened(tmp_path / "a.png")
    assert image.size == (1024, 1024)
    assert image.mode == "P"
    assert image.info["covergen:finish"] == "print"
    assert image.info["covergen:inks"] == "3"
    _, counts = np.unique(np.asarray(image), return_counts=True)
    assert np.sort(counts)[-3:].sum() / counts.sum() > 0.9
