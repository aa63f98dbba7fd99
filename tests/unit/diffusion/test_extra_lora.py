"""LoRAs, few-step schedulers and a tiny decoder next to the adapter, compared with diffusers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderTiny,
    LCMScheduler,
    StableDiffusionPipeline,
)
from safetensors.torch import load_file, save_file

from covergen.core.cover import PaintRequest, Sampling
from covergen.core.errors import AdapterError, ModelError
from covergen.diffusion.batches import Pictures
from covergen.diffusion.painter import Painter
from covergen.diffusion.quiet import quiet
from tests.painting import load, paint_all
from tests.plain_diffusion import difference, embeddings, merged_unet
from tests.tiny_base import make_tiny_adapter
from tests.tiny_lora import make_tiny_lora
from tests.tiny_pipelines import make_tiny_decoder

SEEDS = (3, 4)
STYLE = "red sand"
SAMPLING = Sampling(steps=4, guidance=1.5, scheduler="lcm")


@pytest.fixture(scope="module")
def adapter(sd1: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("adapter") / "adapter.safetensors"
    return make_tiny_adapter(file, sd1, tokens=77)


@pytest.fixture(scope="module")
def loras(sd1: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, float]]:
    """Two LoRAs with their weights: one as kohya-ss writes them, one as diffusers does."""
    folder = tmp_path_factory.mktemp("loras")
    return [
        (make_tiny_lora(folder / "kohya.safetensors", sd1, seed=1, kohya=True), 0.5),
        (make_tiny_lora(folder / "plain.safetensors", sd1, seed=2), -1.0),
    ]


def pictures(painter: Painter) -> Pictures:
    requests = [
        PaintRequest(vector=vector, seed=seed)
        for vector, seed in zip(embeddings(len(SEEDS)), SEEDS, strict=True)
    ]
    return paint_all(painter, requests, SAMPLING)


@torch.no_grad()
def plain_pictures(
    base: Path, adapter: Path, loras: Sequence[tuple[Path, float]], decoder: Path
) -> Pictures:
    """Paint with diffusers' pipeline and its own LoRA loader, on a UNet merged by hand."""
    with quiet():
        pipeline = StableDiffusionPipeline.from_pretrained(
            base, unet=merged_unet(base, adapter), vae=AutoencoderTiny.from_pretrained(decoder)
        )
        for number, (file, _) in enumerate(loras):
            pipeline.load_lora_weights(
                file.parent, weight_name=file.name, adapter_name=f"lora{number}"
            )
        names = [f"lora{number}" for number in range(len(loras))]
        pipeline.set_adapters(names, [weight for _, weight in loras])
        pipeline.scheduler = LCMScheduler.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        vectors = torch.from_numpy(np.stack(embeddings(len(SEEDS))))
        projection = load(base, adapter).projection
        images = pipeline(
            prompt_embeds=projection(vectors),
            negative_prompt_embeds=pipeline.encode_prompt(
                "", torch.device("cpu"), 1, do_classifier_free_guidance=False
            )[0].repeat(len(SEEDS), 1, 1),
            num_inference_steps=SAMPLING.steps,
            guidance_scale=SAMPLING.guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        ).images
    return np.stack([np.asarray(image) for image in images])


def test_loras_and_decoder_are_used_as_in_diffusers(
    sd1: Path, adapter: Path, loras: list[tuple[Path, float]], tmp_path: Path
) -> None:
    decoder = make_tiny_decoder(tmp_path / "decoder")
    expected = plain_pictures(sd1, adapter, loras, decoder)
    assert difference(pictures(load(sd1, adapter, loras=loras, vae=decoder)), expected) <= 1
    for fewer in (loras[:1], loras[1:]):
        assert difference(pictures(load(sd1, adapter, loras=fewer, vae=decoder)), expected) > 1
    assert difference(pictures(load(sd1, adapter, loras=loras)), expected) > 1


def test_decoder_of_other_latents_is_an_error(sd1: Path, adapter: Path, tmp_path: Path) -> None:
    decoder = make_tiny_decoder(tmp_path, channels=16)
    with pytest.raises(ModelError, match="expected in_channels = 16 like the VAE"):
        load(sd1, adapter, vae=decoder)


@torch.no_grad()
def test_loras_change_how_styles_are_read(
    sd1: Path, adapter: Path, loras: list[tuple[Path, float]]
) -> None:
    with quiet():
        pipeline = StableDiffusionPipeline.from_pretrained(sd1)
        file, weight = loras[0]
        pipeline.load_lora_weights(file.parent, weight_name=file.name, adapter_name="a")
        pipeline.set_adapters(["a"], [weight])
        expected, _ = pipeline.encode_prompt(
            STYLE, torch.device("cpu"), 1, do_classifier_free_guidance=False
        )
    found = load(sd1, adapter, loras=loras, styles=[STYLE]).styles[STYLE]
    assert torch.allclose(found, expected[:, : found.shape[1]], atol=1e-5)
    plain = load(sd1, adapter, styles=[STYLE]).styles[STYLE]
    assert not torch.allclose(found, plain, atol=1e-2)


def test_lora_of_another_base_is_an_error(
    sd1: Path, sd2: Path, adapter: Path, loras: list[tuple[Path, float]], tmp_path: Path
) -> None:
    other = make_tiny_lora(tmp_path / "other.safetensors", sd2)
    with pytest.raises(AdapterError, match=r"other\.safetensors does not fit the base"):
        load(sd1, adapter, loras=[(other, 1.0)])
    tensors = load_file(loras[1][0])
    extra = {
        name.replace("down_blocks.0", "down_blocks.7"): t.clone() for name, t in tensors.items()
    }
    save_file(tensors | extra, tmp_path / "larger.safetensors")
    with pytest.raises(AdapterError, match=r"uses \d+ of its \d+ tensors"):
        load(sd1, adapter, loras=[(tmp_path / "larger.safetensors", 1.0)])


@pytest.mark.parametrize("content", [b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_file_that_is_not_a_lora_is_an_error(
    sd1: Path, adapter: Path, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "broken.safetensors"
    file.write_bytes(content)
    with pytest.raises(AdapterError, match=r"The LoRA .*broken\.safetensors"):
        load(sd1, adapter, loras=[(file, 1.0)])
    with pytest.raises(AdapterError, match="is not a LoRA"):
        load(sd1, adapter, loras=[(adapter, 1.0)])
