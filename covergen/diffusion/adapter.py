"""Adapters: create, save, check against a base, load and merge them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

import covergen
from covergen.core.errors import AdapterError
from covergen.diffusion.adapter_file import (
    LORA_PREFIX,
    METADATA_PREFIX,
    PROJECTION_PREFIX,
    AdapterInfo,
    EmptyPrompt,
    find_projection,
    write_tensors,
)
from covergen.diffusion.base_config import BaseConfig, empty_unet
from covergen.diffusion.lora import attach, lora_tensors, set_lora_tensors
from covergen.diffusion.projection import ProjectionKind, make_projection


def create(
    unet: UNet2DConditionModel,
    *,
    d_audio: int,
    rank: int,
    alpha: float,
    projection: ProjectionKind,
    tokens: int = 1,
) -> nn.Module:
    """Attach a new LoRA to the UNet and create the audio projection that is trained with it.

    Both are initialized from torch's global generator. Returns the projection: (B, d_audio) to
    (B, tokens, d_cross).
    """
    attach(unet, rank=rank, alpha=alpha)
    return make_projection(
        projection, d_audio=d_audio, d_cross=unet.config.cross_attention_dim, tokens=tokens
    )


def save(
    path: Path,
    unet: UNet2DConditionModel,
    projection: nn.Module,
    *,
    title: str,
    base: str,
    clap: str,
    training: Mapping[str, Any],
    empty_prompt: EmptyPrompt = "plain",
    base_mark: str = "",
    clap_mark: str = "",
) -> None:
    """Write the UNet's attached LoRA and the projection to a file.

    `base` and `clap` name the models that it was trained with. `training` must be
    JSON-serializable. `empty_prompt` is how guidance encodes the empty prompt. `base_mark` is the
    base's `mark_of`, `clap_mark` the fingerprint of CLAP's folder. The same contents give the same
    bytes. Raises ModelError if the file cannot be written.
    """
    tensors = _with_prefix(LORA_PREFIX, lora_tensors(unet))
    tensors |= _with_prefix(PROJECTION_PREFIX, projection.state_dict())
    kind, tokens, _ = find_projection(path, _shapes(tensors))
    lora = unet.peft_config["default"]
    fields = {
        "version": covergen.__version__,
        "rank": str(lora.r),
        "alpha": str(lora.lora_alpha),
        "projection": kind,
        "tokens": str(tokens),
        "empty_prompt": empty_prompt,
        "base": base,
        "base_mark": base_mark,
        "clap": clap,
        "clap_mark": clap_mark,
        "training": json.dumps(training, sort_keys=True),
    }
    modelspec = {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": f"{_architecture(unet)}/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": title,
    }
    metadata = {f"{METADATA_PREFIX}{name}": value for name, value in fields.items()} | modelspec
    write_tensors(path, tensors, metadata)


def check_fit(info: AdapterInfo, config: BaseConfig, *, d_audio: int) -> None:
    """Check that an adapter fits a base, without reading the weights of either.

    `d_audio` is the length of CLAP's embeddings. Raises AdapterError.
    """
    expected_length = config.cross_attention_dim if info.d_audio is None else info.d_audio
    if expected_length != d_audio:
        raise AdapterError(
            f"{info.path}: expected a projection for embeddings of length {d_audio}, as from this "
            f"CLAP model, found length {expected_length}.",
            hint=f"The adapter was trained with {info.clap or 'another CLAP model'}.",
        )
    expected = adapter_shapes(
        config,
        d_audio=d_audio,
        rank=info.rank,
        projection=info.projection,
        tokens=info.tokens,
    )
    problems = list(_differences(expected, info.shapes))
    if problems:
        raise AdapterError(
            "\n  ".join([f"{info.path} does not fit the base {config.folder}:", *problems]),
            hint=f"It was trained on {info.base or 'another base'}. Use that, or another adapter.",
        )


def adapter_shapes(
    config: BaseConfig, *, d_audio: int, rank: int, projection: ProjectionKind, tokens: int
) -> dict[str, tuple[int, ...]]:
    """The shapes of an adapter's tensors for a base, by their keys in the file."""
    unet = empty_unet(config)
    with torch.device("meta"):
        module = create(
            unet, d_audio=d_audio, rank=rank, alpha=rank, projection=projection, tokens=tokens
        )
    lora = _shapes(_with_prefix(LORA_PREFIX, lora_tensors(unet)))
    return lora | _shapes(_with_prefix(PROJECTION_PREFIX, module.state_dict()))


def load(info: AdapterInfo, tensors: Mapping[str, Tensor], unet: UNet2DConditionModel) -> nn.Module:
    """Attach an adapter to a UNet that it fits, without merging it.

    `tensors` come from `read_tensors`. Returns the projection, in float32 on the UNet's device.
    """
    attach(unet, rank=info.rank, alpha=info.alpha)
    set_lora_tensors(unet, _without_prefix(LORA_PREFIX, tensors))
    d_cross = unet.config.cross_attention_dim
    projection = make_projection(
        info.projection, d_audio=info.d_audio or d_cross, d_cross=d_cross, tokens=info.tokens
    )
    projection.load_state_dict(_without_prefix(PROJECTION_PREFIX, tensors))
    return projection.to(unet.device)


def _differences(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    missing = sorted(expected.keys() - found.keys())
    unknown = sorted(found.keys() - expected.keys())
    common = sorted(expected.keys() & found.keys())
    reshaped = [key for key in common if expected[key] != found[key]]
    if missing:
        yield f"{len(missing)} tensors are missing, such as {missing[0]}"
    if unknown:
        yield f"{len(unknown)} tensors are not in the base, such as {unknown[0]}"
    if reshaped:
        key = reshaped[0]
        yield (
            f"{len(reshaped)} tensors have the wrong shape, such as {key}: "
            f"expected {expected[key]}, found {found[key]}"
        )


def _architecture(unet: UNet2DConditionModel) -> str:
    """ModelSpec's name for the architecture; only 2.x has linear projections."""
    is_v2 = unet.config.use_linear_projection
    return "stable-diffusion-v2-512" if is_v2 else "stable-diffusion-v1"


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def _without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
