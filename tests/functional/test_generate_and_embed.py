"""`covergen generate` and `covergen embed`: files made from tracks, and no music file touched."""

import re
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from transformers import ClapFeatureExtractor, ClapModel

from tests.functional.conftest import Run, TinyModel, json_lines, provenance, snapshot
from tests.media import Library, encode
from tests.plain_diffusion import difference, empty_prompt, pipeline_pictures, unmerged_unet
from tests.tiny_base import make_tiny_adapter

GENERATE = ("generate", "--model", "tiny", "--json")
EMBED = ("embed", "--model", "tiny", "--json")


def test_a_folder_is_mirrored_and_left_alone(library: Library, run: Run, tmp_path: Path) -> None:
    before = snapshot(library.root)
    run(*GENERATE, library.root / "Two Discs", "-o", tmp_path / "out")
    made = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.png"))
    assert [str(path) for path in made] == [
        "CD1/01 Up.png", "CD1/02 Down.png", "CD2/01 Up.png", "CD2/02 Down.png",
    ]  # fmt: skip
    assert snapshot(library.root) == before


def test_a_picture_is_named_and_its_provenance_paints_it_again(
    library: Library, run: Run, tmp_path: Path
) -> None:
    track = library.every_container["flac"]
    run(*GENERATE, track, "-o", tmp_path / "a.png", "--seed", 7, "--steps", 3, "--reuse", 2)
    painted = provenance(tmp_path / "a.png")
    assert painted["seed"] == "7"
    settings = (
        "seed", "steps", "guidance", "scheduler", "guided_from", "guided_until", "reuse",
    )  # fmt: skip
    again = [word for name in settings for word in (f"--{name.replace('_', '-')}", painted[name])]
    run(*GENERATE, track, "-o", tmp_path / "b.png", *again)
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def test_quality_is_a_default_that_single_options_replace(
    library: Library, run: Run, tmp_path: Path
) -> None:
    options = ("--quality", "draft", "--steps", 3)
    run(*GENERATE, library.every_container["flac"], "-o", tmp_path / "a.png", *options)
    painted = provenance(tmp_path / "a.png")
    assert painted.items() >= {"steps": "3", "guided_until": "0.6", "reuse": "1"}.items()


def test_existing_pictures_stay_unless_forced(library: Library, run: Run, tmp_path: Path) -> None:
    track = library.every_container["mp3"]
    picture = tmp_path / "a.jpg"
    picture.write_text("mine")
    (album, _) = json_lines(run(*GENERATE, track, "-o", picture))
    assert (album["reason"], picture.read_text()) == ("output-exists", "mine")
    run(*GENERATE, track, "-o", picture, "--force")
    with Image.open(picture) as image:
        assert image.format == "JPEG"


def test_lora_rank_is_accepted_and_ignored(library: Library, run: Run, tmp_path: Path) -> None:
    track = library.every_container["mp3"]
    error = run(*GENERATE, track, "-o", tmp_path, "--lora-rank", 8).stderr
    assert "--lora-rank is ignored" in error


def test_quality_reference_paints_the_references_own_picture(
    tiny_model: TinyModel, run: Run, home: Path, tmp_path: Path
) -> None:
    """With all parts given by hand, whatever the default model is set to; with fewer steps."""
    (home / "config/covergen/models.toml").write_text(
        f"""
        [starter]
        base = "{tiny_model.base}"
        clap = "{tiny_model.clap}"
        adapter = "{tiny_model.adapter}"
        guided_until = 0.1
        reuse = 3
        finish = "print"
        styles = ["cut paper"]
        """
    )
    adapter = make_tiny_adapter(
        tmp_path / "ref.safetensors", tiny_model.base, projection="linear", reference=True
    )
    track = encode(tmp_path / "a.wav", "wav", seconds=3.3, sample_rate=48_000, kind="melody")
    done = run(
        "generate", track, "-o", tmp_path / "ours.png", "--quality", "reference", "--seed", 11,
        "--steps", 10, "--base", tiny_model.base, "--clap", tiny_model.clap, "--adapter", adapter,
    )  # fmt: skip
    ours = np.asarray(Image.open(tmp_path / "ours.png"))
    assert difference(ours, reference_picture(tiny_model, adapter, track)) <= 1
    assert ours.std() > 1
    assert "starter" not in done.output


def test_parts_given_by_hand_have_no_models_settings(
    tiny_model: TinyModel, library: Library, run: Run, tmp_path: Path
) -> None:
    """Those of the default model would be 20 steps and a guidance of 4."""
    parts = "--base", tiny_model.base, "--clap", tiny_model.clap, "--adapter", tiny_model.adapter
    track = library.every_container["flac"]
    run("generate", track, "-o", tmp_path / "a.png", *parts, "--steps", 1)
    run("generate", track, "-o", tmp_path / "b.png", *parts, "--steps", 1, "--model", "starter")
    painted = [provenance(tmp_path / name) for name in ("a.png", "b.png")]
    found = [(one["model"], one["guidance"], one["guided_until"]) for one in painted]
    assert found == [("custom", "7.5", "1.0"), ("starter", "4.0", "0.6")]


def test_embeddings_with_silence_are_the_references(
    tiny_model: TinyModel, run: Run, tmp_path: Path
) -> None:
    track = encode(tmp_path / "a.wav", "wav", seconds=3.3, sample_rate=48_000, kind="melody")
    run(*EMBED, track, "-o", tmp_path / "repeated")
    run(*EMBED, track, "-o", tmp_path / "silence", "--padding", "silence")
    expected = reference_embedding(tiny_model, track)
    repeated, silence = (torch.load(tmp_path / name / "a.pt") for name in ("repeated", "silence"))
    assert float(silence @ expected.T) > 0.99999
    assert float(repeated @ expected.T) < 0.999


def reference_picture(model: TinyModel, adapter: Path, track: Path) -> NDArray[np.uint8]:
    """The reference's scripts in short: librosa, the whole of CLAP, peft unmerged, diffusers."""
    tensors = load_file(adapter)
    weight, bias = (tensors[f"audio_projection.{name}"] for name in ("weight", "bias"))
    heard = reference_embedding(model, track)
    unconditional = empty_prompt(model.base, masked=True)
    conditional = (heard @ weight.T + bias).unsqueeze(1).repeat(1, unconditional.shape[1], 1)
    (picture,) = pipeline_pictures(
        model.base,
        unmerged_unet(model.base, adapter, rank=4),
        DDPMScheduler.from_pretrained(model.base / "scheduler"),
        conditional=conditional,
        unconditional=unconditional,
        seeds=[11],
        steps=10,
        guidance=7.5,
    )
    return picture


def reference_embedding(model: TinyModel, track: Path) -> torch.Tensor:
    """(1, 512): padded with silence, as `padding=True` did in transformers 4."""
    waveform, _ = librosa.load(track, sr=48_000, mono=True)
    features = ClapFeatureExtractor.from_pretrained(model.clap)(
        waveform, sampling_rate=48_000, return_tensors="pt", padding="pad"
    )
    with torch.no_grad():
        clap = ClapModel.from_pretrained(model.clap).eval()
        heard: torch.Tensor = clap.get_audio_features(**features).pooler_output
    return heard


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_embeddings_have_the_shape_that_training_expects(
    library: Library, run: Run, tmp_path: Path, suffix: str
) -> None:
    track = library.every_container["opus"]
    run(*EMBED, track, "-o", tmp_path, "--format", suffix)
    file = tmp_path / f"{track.stem}.{suffix}"
    shown = run("embed", "--model", "tiny", track, "-o", tmp_path / "again")
    assert "Loading CLAP." in shown.stderr
    assert re.search(r"embedded +1 track ", shown.stdout)
    vector = load_file(file)["embedding"] if suffix == "safetensors" else torch.load(file)
    assert vector.shape == (1, 512)
    assert vector.dtype == torch.float32
    assert float(vector.norm()) == pytest.approx(1, abs=1e-6)


def test_a_file_that_is_no_music_is_told_and_the_rest_goes_on(
    library: Library, run: Run, tmp_path: Path
) -> None:
    text = next(path for path in library.failures if path.suffix == ".mp3")
    good = library.every_container["wav"]
    objects = json_lines(run(*EMBED, text, good, "-o", tmp_path, expect=1))
    assert [o["reason"] for o in objects if o["type"] == "file"] == ["not-audio"]
    assert (tmp_path / f"{good.stem}.pt").exists()
