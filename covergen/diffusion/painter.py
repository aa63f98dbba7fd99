"""Load a base, with an adapter merged into it if there is one, ready to paint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from covergen.compute.onednn import pack
from covergen.diffusion.adapter import AdapterInfo, check_fit, inspect, load, merge, read_tensors
from covergen.diffusion.base import PromptEncoder, load_base
from covergen.diffusion.base_config import BaseConfig, read_config

__all__ = ["Painter", "load_painter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Painter:
    """The loaded models, all on `device`.

    `projection` maps (B, d_audio) to (B, N, d_cross) in float32. `unconditional` is the negative
    prompt, empty by default, (1, T, d_cross) float32. `styles` maps each style to its tokens, (1,
    T, d_cross) float32. `dtype` is the UNet's; the VAE's may differ.

    Without an adapter, `adapter` and `projection` are None, and `styles` maps any prompt to its
    tokens, cutting off what is too long.
    """

    config: BaseConfig
    adapter: AdapterInfo | None
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    projection: nn.Module | None
    unconditional: Tensor
    styles: Mapping[str, Tensor]
    device: torch.device
    dtype: torch.dtype


def load_painter(
    base: Path,
    adapter: Path | None,
    *,
    d_audio: int,
    device: torch.device,
    dtype: torch.dtype,
    styles: Sequence[str] = (),
    negative: str = "",
) -> Painter:
    """Load a base folder and an adapter file for embeddings of length `d_audio`.

    Configs and headers are checked before any weights of the base are read. `styles` lists the
    styles that requests may use. Without an adapter, the text encoder is kept, since each request
    has its own prompt. Raises ModelError, ModelMissingError, AdapterError, and UsageError for a
    style or a negative prompt that is too long.
    """
    config = read_config(base)
    if adapter is None:
        return _load_without_adapter(
            config, device=device, dtype=dtype, styles=styles, negative=negative
        )
    info = inspect(adapter)
    check_fit(info, config, d_audio=d_audio)
    tensors = read_tensors(info)
    encoder = PromptEncoder(config, masked=info.empty_prompt == "masked")
    unconditional = encoder.encode(negative, padded=True)
    encoded = {style: encoder.encode(style, padded=False).to(device) for style in styles}
    del encoder
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
        styles=encoded,
        device=device,
        dtype=dtype,
    )


def _load_without_adapter(
    config: BaseConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    styles: Sequence[str],
    negative: str,
) -> Painter:
    encoder = PromptEncoder(config, masked=False, device=device)
    for style in styles:
        encoder.check_length(style)
    unconditional = encoder.encode(negative, padded=True)
    parts = load_base(config, device=device, dtype=dtype)
    pack(parts.unet)
    return Painter(
        config=config,
        adapter=None,
        unet=parts.unet,
        vae=parts.vae,
        projection=None,
        unconditional=unconditional,
        styles=_Prompts(encoder),
        device=device,
        dtype=dtype,
    )


class _Prompts(dict[str, Tensor]):
    """Encodes each prompt when it is needed; remembers none, since no two albums share one."""

    def __init__(self, encoder: PromptEncoder) -> None:
        super().__init__()
        self._encoder = encoder

    def __missing__(self, prompt: str) -> Tensor:
        return self._encoder.encode(prompt, padded=True, truncate=True)
