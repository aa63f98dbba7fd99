"""Training a model that has LoRAs and a VAE of its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from diffusers import StableDiffusionPipeline
from PIL import Image

from covergen.core.cover import PaintRequest
from covergen.diffusion.extra_lora import ExtraLora, read_lora
from covergen.diffusion.quiet import quiet
from covergen.training.data.examples import Example
from covergen.training.events import Sampled
from tests.painting import load, paint_all
from tests.plain_diffusion import difference
from tests.tiny_lora import make_tiny_lora
from tests.tiny_pipelines import make_tiny_decoder
from tests.unit.training.trainer import SAMPLING, Trainer

WEIGHT = 0.5


@pytest.fixture(scope="module")
def file(sd1: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA for the UNet and the text encoder."""
    folder = tmp_path_factory.mktemp("lora")
    return make_tiny_lora(folder / "lora.safetensors", sd1, kohya=True)


@pytest.fixture(scope="module")
def lora(file: Path) -> ExtraLora:
    return read_lora(file, WEIGHT)


def test_training_on_a_model_with_a_lora_is_training_on_the_merged_base(
    sd1: Path, tmp_path: Path, file: Path, lora: ExtraLora, examples: list[Example]
) -> None:
    """diffusers merges it; captions show that it also changes how words are read."""
    with quiet():
        pipeline = StableDiffusionPipeline.from_pretrained(sd1)
        pipeline.load_lora_weights(file.parent, weight_name=file.name)
        pipeline.fuse_lora(lora_scale=WEIGHT)
        pipeline.unload_lora_weights()
        pipeline.save_pretrained(tmp_path / "merged")
    captioned = [replace(example, caption="paper and ink") for example in examples]
    merged = Trainer(tmp_path / "merged", tmp_path / "out-merged")
    merged(captioned)
    given = Trainer(sd1, tmp_path / "out-given", loras=[lora])
    given(captioned)
    assert given.losses == pytest.approx(merged.losses, rel=1e-4)
    plain = Trainer(sd1, tmp_path / "out-plain")
    plain(captioned)
    assert plain.losses != pytest.approx(merged.losses, rel=1e-2)


def test_samples_are_painted_with_the_loras_and_the_vae_of_the_model(
    sd1: Path, tmp_path: Path, file: Path, lora: ExtraLora, examples: list[Example]
) -> None:
    """They match pictures that are painted with the saved adapter."""
    vae = make_tiny_decoder(tmp_path / "vae")
    trainer = Trainer(sd1, tmp_path / "out", loras=[lora], vae=vae)
    trained = trainer(examples[:2], sample_every=4)
    painter = load(sd1, trained.adapter, loras=[(file, WEIGHT)], vae=vae)
    requests = [PaintRequest(vector=example.vector, seed=i) for i, example in enumerate(examples)]
    pictures = paint_all(painter, requests[:2], SAMPLING)
    with Image.open(trainer.emitted(Sampled)[-1].path) as sheet:
        assert difference(np.asarray(sheet), np.concatenate([*pictures], axis=1)) <= 1
