"""The frozen base model, loaded for training."""

import platform
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from covergen.compute.device import has_bfloat16
from covergen.compute.onednn import pack_products
from covergen.core.errors import OptionError
from covergen.diffusion.base_config import BaseConfig, read_config
from covergen.diffusion.extra_lora import ExtraLora, merge_into_unet
from covergen.diffusion.load_base import PromptEncoder, Vae, encode_prompts, load_base
from covergen.diffusion.quiet import quiet
from covergen.training.denoising import NoiseSchedule, read_noise_schedule
from covergen.training.recipe import Precision, Recipe

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A base on `device`. The VAE is in float32, the UNet in `precision`.

    `size`: (H, W) of the training pictures in pixels. `empty_prompt`: (1, T, d) float32. `loras`
    are merged into the UNet.
    """

    config: BaseConfig
    unet: UNet2DConditionModel
    vae: Vae
    schedule: NoiseSchedule
    empty_prompt: Tensor
    size: tuple[int, int]
    device: torch.device
    precision: Literal["bf16", "fp16", "fp32"]
    loras: Sequence[ExtraLora] = ()

    @property
    def device_name(self) -> str:
        """The name of the hardware."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        threads = torch.get_num_threads()
        return f"{platform.machine()} CPU, {threads} thread{'' if threads == 1 else 's'}"


def load_frozen(
    base: Path,
    recipe: Recipe,
    device: torch.device,
    *,
    loras: Sequence[ExtraLora] = (),
    vae: Path | None = None,
) -> Frozen:
    """Load the base in a folder, with LoRAs merged into it and with another VAE, if given.

    Raises ModelError, or OptionError for an invalid resolution.
    """
    config = read_config(base, vae)
    schedule = read_noise_schedule(config)
    size = _size(config, recipe.resolution)
    precision = _choose_precision(recipe.precision, device)
    masked = recipe.empty_prompt == "masked"
    (empty,) = encode_prompts(config, [""], masked=masked, loras=loras)
    # On the CPU, channels_last makes gradients differ in their last digits between runs.
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    parts = load_base(config, device=device, dtype=torch.float32, layout=layout)
    for lora in loras:
        merge_into_unet(lora, parts.unet)
    with quiet():
        parts.unet.to(_DTYPES[precision])
    pack_products(parts.unet)
    return Frozen(
        config=config,
        unet=parts.unet,
        vae=parts.vae,
        schedule=schedule,
        empty_prompt=empty.to(device),
        size=size,
        device=device,
        precision=precision,
        loras=loras,
    )


def encode_captions(
    frozen: Frozen, recipe: Recipe, captions: Collection[str], check_interrupted: Callable[[], None]
) -> dict[str, Tensor]:
    """Encode every distinct caption as painting encodes a style: (1, T, d) float32 on the CPU.

    What is too long for the text encoder is cut off. `check_interrupted` is called before each one.
    Raises ModelError, and whatever `check_interrupted` raises.
    """
    distinct = sorted(set(captions) - {""})
    if not distinct:
        return {}
    masked = recipe.empty_prompt == "masked"
    encoder = PromptEncoder(frozen.config, masked=masked, device=frozen.device, loras=frozen.loras)
    encoded = {}
    for caption in distinct:
        check_interrupted()
        encoded[caption] = encoder.encode(caption, padded=False, truncate=True).cpu()
    return encoded


def _size(config: BaseConfig, resolution: int | None) -> tuple[int, int]:
    if resolution is None:
        return config.picture_size
    latents, pixels = config.latent_shape[1], config.picture_size[0]
    unit = pixels // latents * 2 ** (len(config.unet["block_out_channels"]) - 1)
    if resolution % unit:
        raise OptionError("resolution", f"{resolution}: this base needs a multiple of {unit}.")
    return resolution, resolution


def _choose_precision(
    precision: Precision, device: torch.device
) -> Literal["bf16", "fp16", "fp32"]:
    if precision != "auto":
        return precision
    if device.type != "cuda":
        return "fp32"
    return "bf16" if has_bfloat16(device) else "fp16"
