"""Everything that paints, loaded: the base with the adapter merged into it."""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from covergen.core.onednn import pack
from covergen.diffusion.adapter import AdapterInfo, check_fit, inspect, load, merge, read_tensors
from covergen.diffusion.base import encode_empty_prompt, load_base
from covergen.diffusion.base_config import BaseConfig, read_config

__all__ = ["Painter", "load_painter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Painter:
    """The parts that paint, all on `device`.

    `projection` takes (B, d_audio) to (B, N, d_cross) in float32; `unconditional` is
    (1, T, d_cross) float32; `dtype` is the UNet's, the VAE's own may differ.
    """

    config: BaseConfig
    adapter: AdapterInfo
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    projection: nn.Module
    unconditional: Tensor
    device: torch.device
    dtype: torch.dtype


def load_painter(
    base: Path,
    adapter: Path,
    *,
    d_audio: int,
    device: torch.device,
    dtype: torch.dtype,
    lora_rank: int | None = None,
) -> Painter:
    """Load a base folder and an adapter file for embeddings of length `d_audio`.

    Whatever can be told from configs and headers is told before any weight of the base is read.
    `lora_rank` is only checked against the file. Raises ModelError, ModelMissingError and
    AdapterError.
    """
    config = read_config(base)
    info = inspect(adapter)
    check_fit(info, config, d_audio=d_audio, lora_rank=lora_rank)
    tensors = read_tensors(info)
    unconditional = encode_empty_prompt(config, masked=info.empty_prompt == "masked")
    parts = load_base(config, device=device, dtype=dtype)
    projection = load(info, tensors, parts.unet)
    merge(parts.unet)
    pack(parts.unet)
    return Painter(
        config=config,
        adapter=info,
        unet=parts.unet,
        vae=parts.vae,
        projection=projection.requires_grad_(False),
        unconditional=unconditional.to(device),
        device=device,
        dtype=dtype,
    )
