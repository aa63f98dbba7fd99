"""The shipped model: complete, small, usable offline, and following the mood of the music."""

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import covergen
from covergen.audio.clap_folder import read_clap_folder
from covergen.audio.sound_file import write_sound
from covergen.diffusion.adapter_file import inspect
from covergen.diffusion.base_config import mark_of, read_config
from covergen.models.presets import load_presets
from covergen.poster.attributes import Attributes
from covergen.poster.painter.features import features
from covergen.starter.musician import HELD_OUT, SAMPLE_RATE_HZ, play
from tests.functional.conftest import Run

WEIGHTS = Path(covergen.__file__).parent / "starter" / "weights"
SAD = Attributes(
    arousal=0.08, valence=0.08, tempo_bpm=58, mode=0.0, loudness=0.25, dynamics=0.5,
    brightness=0.2, density=0.15, roughness=0.05, rhythmicity=0.3, percussiveness=0.05,
)  # fmt: skip
HAPPY = Attributes(
    arousal=0.9, valence=0.95, tempo_bpm=140, mode=1.0, loudness=0.85, dynamics=0.2,
    brightness=0.8, density=0.7, roughness=0.1, rhythmicity=0.9, percussiveness=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tracks of each mood, on instruments held out from training."""
    folder = tmp_path_factory.mktemp("moods")
    for mood, attributes in (("sad", SAD), ("happy", HAPPY)):
        for number in range(2):
            rng = np.random.default_rng([99, number])
            samples = play(attributes, rng, seconds=11, instruments=HELD_OUT)
            write_sound(folder / f"{mood}{number}.flac", samples, sample_rate_hz=SAMPLE_RATE_HZ)
    return folder


def measured(folder: Path, mood: str) -> NDArray[np.float64]:
    """Return the mean features of the covers of a mood."""
    rows = []
    for path in sorted(folder.glob(f"{mood}*.png")):
        with Image.open(path) as image:
            assert image.size == (512, 512)
            rows.append(astuple(features(np.asarray(image.convert("RGB")))))
    return np.mean(rows, axis=0)


def test_words_that_the_starter_does_not_know_are_named(
    music: Path, run: Run, tmp_path: Path
) -> None:
    arguments = ("generate", music / "sad0.flac", "--steps", 1, "--style")
    unknown = run(*arguments, "record grooves, Ocean-blue", "-o", tmp_path / "unknown.png")
    assert "Note: The text encoder does not know Ocean-blue, so it" in unknown.stderr
    known = run(*arguments, "swiss geometry, bars, low left", "-o", tmp_path / "known.png")
    assert "does not know" not in known.stderr


def test_happy_music_gives_lighter_and_more_colorful_covers_than_sad_music(
    music: Path, run: Run, tmp_path: Path
) -> None:
    differences = []
    for seed in range(3):  # which gives other styles
        covers = tmp_path / str(seed)
        run("generate", music, "-o", covers, "--steps", 6, "--seed", seed)
        differences.append(measured(covers, "happy") - measured(covers, "sad"))
    lightness, chroma = np.mean(differences, axis=0)[:2]
    assert lightness > 15
    assert chroma > 15


def test_the_package_contains_the_complete_starter_in_small_safe_files(run: Run) -> None:
    shown = run("models", "show", "starter").output
    assert "not downloaded" not in shown
    for style in load_presets()["starter"].styles:
        assert f"  style     {style}\n" in shown
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 45_000_000
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".txt", ".toml", ".md"}
    assert (WEIGHTS / "MODEL_CARD.md") in files


def test_the_adapter_was_trained_with_the_base_and_the_clap_model_beside_it() -> None:
    adapter = inspect(WEIGHTS / "adapter.safetensors")
    assert adapter.base_mark == mark_of(read_config(WEIGHTS / "base"))
    assert adapter.clap_mark == read_clap_folder(WEIGHTS / "clap").fingerprint
