"""Load a base with an adapter merged into it, ready to paint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from covergen.compute.onednn import pack
from covergen.diffusion.adapter import AdapterInfo, check_fit, inspect, load, merge, read_tensors
from covergen.diffusion.base import Vae, encode_prompts, load_base
from covergen.diffusion.base_config import BaseConfig, read_config
from covergen.diffusion.extra_lora import merge_into_unet, read_lora

__all__ = ["Painter", "load_painter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Painter:
    """The loaded models, all on `device`.

    `projection` maps (B, d_audio) to (B, N, d_cross) in float32. `unconditional` is the empty
    prompt, (1, T, d_cross) float32. `styles` maps each style to its tokens, (1, T, d_cross)
    float32. `dtype` is the UNet's; the VAE's may differ.
    """

    config: BaseConfig
    adapter: AdapterInfo
    unet: UNet2DConditionModel
    vae: Vae
    projection: nn.Module
    unconditional: Tensor
    styles: Mapping[str, Tensor]
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
    styles: Sequence[str] = (),
    loras: Sequence[tuple[Path, float]] = (),
    vae: Path | None = None,
) -> Painter:
    """Load a base folder and an adapter file for embeddings of length `d_audio`.

    Configs and headers are checked before any weights of the base are read. `lora_rank` is only
    checked against the file. `loras` are files of LoRAs to merge as well, with their weights. `vae`
    is the folder of a VAE to use in place of the base's. `styles` lists the styles that requests
    may use. Raises ModelError, ModelMissingError, AdapterError, and UsageError for a style that is
    too long.
    """
    config = read_config(base, vae)
    info = inspect(adapter)
    check_fit(info, config, d_audio=d_audio, lora_rank=lora_rank)
    tensors = read_tensors(info)
    masked = info.empty_prompt == "masked"
    extra = [read_lora(file, weight) for file, weight in loras]
    unconditional, *encoded = encode_prompts(config, ["", *styles], masked=masked, loras=extra)
    parts = load_base(config, device=device, dtype=dtype)
    for lora in extra:
        merge_into_unet(lora, parts.unet)
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
        styles={style: tokens.to(device) for style, tokens in zip(styles, encoded, strict=True)},
        device=device,
        dtype=dtype,
    )
