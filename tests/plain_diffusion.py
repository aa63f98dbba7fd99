"""Painting with diffusers, transformers and torch alone: what covergen's pictures are held to."""

import warnings
from collections.abc import Sequence
from pathlib import Path

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
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer


def embeddings(count: int, dimension: int = 512) -> list[NDArray[np.float32]]:
    """As CLAP gives them: unit length."""
    vectors = np.random.default_rng(7).standard_normal((count, dimension)).astype(np.float32)
    return list(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def merged_unet(base: Path, adapter: Path, *, scaling: float = 1.0) -> UNet2DConditionModel:
    """W + alpha / rank * B A, computed by hand."""
    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    weights = unet.state_dict()
    tensors = load_file(adapter)
    for name in [n for n in tensors if ".lora_A." in n]:
        module = name.removeprefix("unet_lora.").removesuffix(".lora_A.default.weight")
        down, up = tensors[name], tensors[name.replace("lora_A", "lora_B")]
        weight = weights[f"{module}.weight"]
        weight += scaling * (up.flatten(1) @ down.flatten(1)).view_as(weight)
    return unet.eval()


def unmerged_unet(base: Path, adapter: Path, *, rank: int) -> UNet2DConditionModel:
    """As the reference does it: peft's layers stay in place, alpha is the rank."""
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
def empty_prompt(base: Path, *, masked: bool) -> Tensor:
    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(base / "text_encoder").eval()
    prompt = tokenizer(
        "", padding="max_length", max_length=tokenizer.model_max_length, return_tensors="pt"
    )
    mask = prompt.attention_mask if masked else None
    return encoder(prompt.input_ids, attention_mask=mask)[0]


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
    """`StableDiffusionPipeline` on (B, T, d) and (1, T, d): (B, H, W, 3) uint8."""
    diffusers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on configs that the pipeline mends, and on numpy 2
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
    """The largest difference of two pictures, in levels of 255."""
    return int(np.abs(np.asarray(left, np.int16) - np.asarray(right, np.int16)).max())
