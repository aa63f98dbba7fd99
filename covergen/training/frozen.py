"""The base as a training needs it: loaded once, in one precision, and never changed."""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from covergen.compute.onednn import pack_products
from covergen.core.errors import UsageError
from covergen.diffusion.base import encode_prompts, load_base
from covergen.diffusion.base_config import BaseConfig, read_config
from covergen.diffusion.quiet import quiet
from covergen.training.denoising import Noise, read_noise
from covergen.training.recipe import Precision, Recipe

__all__ = ["Frozen", "load_frozen"]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A base on `device`. The VAE is float32, the UNet as `precision` says.

    `size`: (H, W) in pixels of what is trained on; `empty_prompt`: (1, T, d) float32.
    """

    config: BaseConfig
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    noise: Noise
    empty_prompt: Tensor
    size: tuple[int, int]
    device: torch.device
    precision: Literal["bf16", "fp16", "fp32"]

    @property
    def device_name(self) -> str:
        """The hardware's own name."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        threads = torch.get_num_threads()
        return f"{platform.machine()} CPU, {threads} thread{'' if threads == 1 else 's'}"


def load_frozen(base: Path, recipe: Recipe, device: torch.device) -> Frozen:
    """Load the base in a folder. Raises ModelError, and UsageError for an impossible resolution."""
    config = read_config(base)
    noise = read_noise(config)
    size = _size(config, recipe.resolution)
    precision = _choose_precision(recipe.precision, device)
    (empty,) = encode_prompts(config, [""], masked=recipe.empty_prompt == "masked")
    # On a CPU, gradients with channels last differ in their last digits from run to run.
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    parts = load_base(config, device=device, dtype=torch.float32, layout=layout)
    with quiet():
        parts.unet.to(_DTYPES[precision])
    pack_products(parts.unet)
    if recipe.gradient_checkpointing:
        parts.unet.enable_gradient_checkpointing()
    return Frozen(
        config=config,
        unet=parts.unet,
        vae=parts.vae,
        noise=noise,
        empty_prompt=empty.to(device),
        size=size,
        device=device,
        precision=precision,
    )


def _size(config: BaseConfig, resolution: int | None) -> tuple[int, int]:
    if resolution is None:
        return config.picture_size
    latents, pixels = config.latent_shape[1], config.picture_size[0]
    unit = pixels // latents * 2 ** (len(config.unet["block_out_channels"]) - 1)
    if resolution % unit:
        raise UsageError(
            f"A resolution of {resolution} is impossible: this base wants multiples of {unit}."
        )
    return resolution, resolution


def _choose_precision(wish: Precision, device: torch.device) -> Literal["bf16", "fp16", "fp32"]:
    if wish != "auto":
        return wish
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
