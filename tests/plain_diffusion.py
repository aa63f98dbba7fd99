"""Painting with only diffusers, transformers and torch, to compare covergen's pictures with."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    SchedulerMixin,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from numpy.typing import ArrayLike, NDArray
from peft import LoraConfig
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer


def embeddings(count: int, dimension: int = 512) -> list[NDArray[np.float32]]:
    """Random vectors of unit length, like CLAP's."""
    vectors = np.random.default_rng(7).standard_normal((count, dimension)).astype(np.float32)
    return list(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def merged_unet(base: Path, adapter: Path, *, scaling: float = 1.0) -> UNet2DConditionModel:
    """Merge an adapter by hand: W + scaling * B A, with scaling = alpha / rank."""
    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    weights = unet.state_dict()
    for name, delta in lora_deltas(load_file(adapter)).items():
        weights[name] += scaling * delta.view_as(weights[name])
    return unet.eval()


def lora_deltas(adapter: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """B A of every module, (out, in), by the name of the weight that it is added to."""
    deltas = {}
    for name in [n for n in adapter if ".lora_A." in n]:
        down, up = adapter[name], adapter[name.replace("lora_A", "lora_B")]
        weight = name.removeprefix("unet_lora.").replace(".lora_A.default", "")
        deltas[weight] = up.flatten(1) @ down.flatten(1)
    return deltas


def unmerged_unet(base: Path, adapter: Path, *, rank: int) -> UNet2DConditionModel:
    """Attach an adapter like the reference, without merging it; alpha is the rank."""
    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    targets = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out"]
    unet.add_adapter(
        LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=targets)
    )
    tensors = load_file(adapter)
    lora = {n.removeprefix("unet_lora."): t for n, t in tensors.items() if "lora_" in n}
    assert not unet.load_state_dict(lora, strict=False).unexpected_keys
    return unet.eval()


@torch.no_grad()
def predict(
    unet: nn.Module, tokens: Tensor | None = None, *, like: UNet2DConditionModel | None = None
) -> Tensor:
    """The UNet's output for fixed random latents; `like` has the config if `unet` wraps it."""
    config: Any = (like or unet).config
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, config.in_channels, 8, 8, generator=generator)
    if tokens is None:
        tokens = torch.randn(2, 3, config.cross_attention_dim, generator=generator)
    predicted: Tensor = unet(latents, 500, tokens).sample
    return predicted


@torch.no_grad()
def empty_prompt(base: Path, *, masked: bool) -> Tensor:
    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(base / "text_encoder").eval()
    prompt = tokenizer(
        "", padding="max_length", max_length=tokenizer.model_max_length, return_tensors="pt"
    )
    mask = prompt.attention_mask if masked else None
    encoded: Tensor = encoder(prompt.input_ids, attention_mask=mask)[0]
    return encoded


@torch.no_grad()
def pipeline_pictures(
    base: Path,
    unet: UNet2DConditionModel,
    scheduler: SchedulerMixin,
    *,
    conditional: Tensor,
    unconditional: Tensor,
    seeds: Sequence[int],
    steps: int,
    guidance: float,
) -> NDArray[np.uint8]:
    """Paint with `StableDiffusionPipeline` from (B, T, d) and (1, T, d): (B, H, W, 3) uint8."""
    diffusers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about configs that the pipeline corrects, and numpy 2
        pipeline = StableDiffusionPipeline(
            vae=AutoencoderKL.from_pretrained(base / "vae"),
            text_encoder=None,
            tokenizer=None,
            unet=unet,
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        pictures = pipeline(
            prompt_embeds=conditional,
            negative_prompt_embeds=unconditional.repeat(len(conditional), 1, 1),
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        ).images
    return np.stack([np.asarray(picture) for picture in pictures])


def difference(left: ArrayLike, right: ArrayLike) -> int:
    """The largest difference between two pictures, in levels of 255."""
    return int(np.abs(np.asarray(left, np.int16) - np.asarray(right, np.int16)).max())
