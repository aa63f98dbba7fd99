"""`--model poster` and `--finish print` on the command line."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.functional.conftest import Run, json_lines
from tests.media import Library

POSTER = ("generate", "--model", "poster", "--json")


def opened(path: Path) -> Image.Image:
    image = Image.open(path)
    image.load()
    return image


def test_a_poster_has_the_requested_size_and_names_its_model(
    library: Library, run: Run, tmp_path: Path
) -> None:
    track = library.every_container["flac"]
    run(*POSTER, track, "-o", tmp_path / "a.png")
    run(*POSTER, track, "-o", tmp_path / "b.png", "--size", 300)
    first, second = opened(tmp_path / "a.png"), opened(tmp_path / "b.png")
    assert first.size == (1024, 1024)
    assert second.size == (300, 300)
    assert first.info["covergen:model"] == "poster"
    assert first.info["covergen:base"] == "procedural"


def test_another_seed_gives_another_poster(library: Library, run: Run, tmp_path: Path) -> None:
    track = library.every_container["flac"]
    for seed in (1, 2):
        run(*POSTER, track, "-o", tmp_path / f"{seed}.png", "--size", 64, "--seed", seed)
    first, second = (np.asarray(opened(tmp_path / f"{seed}.png").convert("RGB")) for seed in (1, 2))
    assert np.abs(first.astype(int) - second).mean() > 5


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
    painted = np.asarray(extracted(track).convert("RGB"))
    words = shlex.split(command)
    assert words[0] == "covergen"
    run("tag", "--model", "poster", *options, "--force", "--seed", 9, "-y", track.parent)
    assert not np.array_equal(np.asarray(extracted(track).convert("RGB")), painted)
    run(*words[1:], "-y")
    assert np.array_equal(np.asarray(extracted(track).convert("RGB")), painted)


def extracted(track: Path) -> Image.Image:
    import io

    from mutagen.flac import FLAC

    return Image.open(io.BytesIO(FLAC(track).pictures[0].data))


def test_a_style_selects_the_family_of_a_poster(library: Library, run: Run, tmp_path: Path) -> None:
    track = library.every_container["flac"]
    for style in ("record grooves", "Cut paper, calm"):
        run(*POSTER, track, "-o", tmp_path / f"{style}.png", "--size", 64, "--style", style)
        assert opened(tmp_path / f"{style}.png").info["covergen:style"] == style
    result = run(*POSTER, track, "-o", tmp_path / "c.png", "--style", "watercolor", expect=2)
    assert "does not know the style 'watercolor'" in result.output
    assert "record grooves" in result.output


def test_several_styles_are_distributed_over_albums_and_recorded(
    library: Library, run: Run
) -> None:
    styles = ("--style", "op art", "--style", "ink brush")
    paths = list(library.every_container.values())[:6]
    run("tag", "--model", "poster", *styles, "--size", 64, "--per", "track", "-y", *paths)
    found = {
        found["provenance"]["style"]
        for path in paths
        for found in json_lines(run("info", "--json", path))
    }
    assert found == {"op art", "ink brush"}


@pytest.mark.parametrize("option", [("--steps", 30), ("--guidance", 5), ("--reuse", 2)])
def test_options_of_diffusion_are_refused(
    option: tuple[str, int], library: Library, run: Run, tmp_path: Path
) -> None:
    track = library.every_container["flac"]
    result = run(*POSTER[:-1], track, "-o", tmp_path / "a.png", *option, expect=2)
    assert f"{option[0]} does not apply to 'poster'" in result.output


def test_poster_is_listed_as_procedural_and_cannot_be_trained(
    library: Library, run: Run, tmp_path: Path
) -> None:
    run("dataset", "from-library", library.root / "Fully Covered", tmp_path / "pairs")
    result = run("finetune", tmp_path / "pairs", "--model", "poster", expect=2)
    assert "draws by rules and cannot be trained" in result.output
    listed = run("models", "list").output.splitlines()
    assert any(line.startswith("poster") and "Procedural" in line for line in listed)
    assert "procedural" in run("models", "show", "poster").output


def test_an_unknown_style_is_rejected_before_anything_is_written(
    library: Library, run: Run, tmp_path: Path
) -> None:
    options = ("--model", "poster", "--style", "watercolor")
    run("demo", tmp_path / "demo", *options, expect=2)
    assert not (tmp_path / "demo").exists()
    assert "does not know" in run("tag", "-n", *options, library.root, expect=2).output


def test_inks_require_the_print_finish(library: Library, run: Run, tmp_path: Path) -> None:
    track = library.every_container["flac"]
    options = ("--model", "tiny", "--inks", 3)
    result = run("generate", track, "-o", tmp_path / "a.png", *options, expect=2)
    assert "--inks applies to --finish print" in result.output


def test_a_cover_without_a_style_is_repainted_without_one(library: Library, run: Run) -> None:
    track = library.every_container["flac"]
    run("tag", "--model", "poster", "--size", 64, "-y", track.parent)
    (found,) = json_lines(run("info", "--json", track))
    words = found["command"]
    assert words[words.index("--style") + 1] == ""


def test_a_print_has_few_colors_at_the_default_size(
    library: Library, run: Run, tmp_path: Path
) -> None:
    track = library.every_container["flac"]
    options = ("--model", "tiny", "--finish", "print", "--inks", 3)
    run("generate", track, "-o", tmp_path / "a.png", *options)
    image = opened(tmp_path / "a.png")
    assert image.size == (1024, 1024)
    assert image.mode == "P"
    assert image.info["covergen:finish"] == "print"
    assert image.info["covergen:inks"] == "3"
    _, counts = np.unique(np.asarray(image), return_counts=True)
    assert np.sort(counts)[-3:].sum() / counts.sum() > 0.9
