"""Load a base, with an adapter merged into it if there is one, ready to paint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from covergen.compute.onednn import pack, supports_onednn
from covergen.diffusion.adapter import check_fit, load
from covergen.diffusion.adapter_file import AdapterInfo, inspect, read_tensors
from covergen.diffusion.base_config import BaseConfig, read_config
from covergen.diffusion.extra_lora import ExtraLora, merge_into_unet, read_lora
from covergen.diffusion.load_base import Base, PromptEncoder, Vae, load_base
from covergen.diffusion.lora import merge
from covergen.diffusion.upsampling import fold_upsampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Painter:
    """The loaded models, all on `device`.

    `projection` maps (B, d_audio) to (B, N, d_cross) in float32. `unconditional` is the negative
    prompt, empty by default, (1, T, d_cross) float32. `styles` maps each style to its tokens, (1,
    T, d_cross) float32. `dtype` is the UNet's; the VAE's may differ.

    `unknown_words` are those of the styles that the text encoder does not know.

    Conditions are extended to at least `condition_length` tokens, so that all have one shape.

    Without an adapter, `adapter` and `projection` are None, and `styles` maps any prompt to its
    tokens, cutting off what is too long.
    """

    config: BaseConfig
    adapter: AdapterInfo | None
    unet: UNet2DConditionModel
    vae: Vae
    projection: nn.Module | None
    unconditional: Tensor
    styles: Mapping[str, Tensor]
    unknown_words: tuple[str, ...] = ()
    condition_length: int = 0
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
    loras: Sequence[tuple[Path, float]] = (),
    vae: Path | None = None,
) -> Painter:
    """Load a base folder and an adapter file for embeddings of length `d_audio`.

    Configs and headers are checked before any weights of the base are read. `styles` lists the
    styles that requests may use. Without an adapter, the text encoder is kept, since each request
    has its own prompt. `loras` are files of LoRAs to merge as well, with their weights; `vae` is
    the folder of a VAE to use in place of the base's. Raises ModelError, ModelMissingError,
    AdapterError, and UsageError for a style or a negative prompt that is too long.
    """
    config = read_config(base, vae)
    extra = [read_lora(file, weight) for file, weight in loras]
    if adapter is None:
        return _load_without_adapter(
            config, device=device, dtype=dtype, styles=styles, negative=negative, loras=extra
        )
    info = inspect(adapter)
    check_fit(info, config, d_audio=d_audio)
    tensors = read_tensors(info)
    encoder = PromptEncoder(config, masked=info.empty_prompt == "masked", loras=extra)
    unconditional = encoder.encode(negative, padded=True)
    encoded = {style: encoder.encode(style, padded=False).to(device) for style in styles}
    unknown_words = encoder.unknown_words(styles)
    del encoder
    parts = load_base(config, device=device, dtype=dtype)
    for lora in extra:
        merge_into_unet(lora, parts.unet)
    projection = load(info, tensors, parts.unet)
    merge(parts.unet)
    _speed_up(parts)
    return Painter(
        config=config,
        adapter=info,
        unet=parts.unet,
        vae=parts.vae,
        projection=projection.requires_grad_(False),
        unconditional=unconditional.to(device),
        styles=encoded,
        unknown_words=unknown_words,
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
    loras: Sequence[ExtraLora],
) -> Painter:
    encoder = PromptEncoder(config, masked=False, device=device, loras=loras)
    for style in styles:
        encoder.check_length(style)
    unconditional = encoder.encode(negative, padded=True)
    parts = load_base(config, device=device, dtype=dtype)
    for lora in loras:
        merge_into_unet(lora, parts.unet)
    _speed_up(parts)
    return Painter(
        config=config,
        adapter=None,
        unet=parts.unet,
        vae=parts.vae,
        projection=None,
        unconditional=unconditional,
        styles=_Prompts(encoder),
        unknown_words=encoder.unknown_words(styles),
        device=device,
        dtype=dtype,
    )


def _speed_up(parts: Base) -> None:
    if parts.unet.device.type == "cuda":
        fuse_attention(parts.unet)
    pack(parts.unet)
    if supports_onednn(parts.vae):
        fold_upsampling(parts.vae.decoder)


def fuse_attention(unet: UNet2DConditionModel) -> None:
    """Compute queries, keys and values in one product, in place, as far as their inputs agree."""
    unet.fuse_qkv_projections()
    for module in unet.modules():
        if isinstance(module, Attention):
            fused = ("to_k", "to_v") if module.is_cross_attention else ("to_q", "to_k", "to_v")
            for name in fused:  # their weights would take memory twice
                delattr(module, name)


class _Prompts(dict[str, Tensor]):
    """Encodes each prompt when it is needed; remembers none, since no two albums share one."""

    def __init__(self, encoder: PromptEncoder) -> None:
        super().__init__()
        self._encoder = encoder

    def __missing__(self, prompt: str) -> Tensor:
        return self._encoder.encode(prompt, padded=True, truncate=True)
