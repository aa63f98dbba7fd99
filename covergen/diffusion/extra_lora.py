"""LoRAs besides the adapter's, in the formats that diffusers reads (its own, kohya's, peft's)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from diffusers.utils.peft_utils import set_weights_and_activate_adapters
from safetensors import SafetensorError
from torch import Tensor
from transformers import CLIPTextModel

from covergen.core.errors import AdapterError
from covergen.diffusion.quiet import quiet


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraLora:
    """A LoRA in memory. `alphas` and `metadata` are as in diffusers' `lora_state_dict`."""

    file: Path
    weight: float
    tensors: Mapping[str, Tensor]
    alphas: Mapping[str, float] | None
    metadata: Mapping[str, Any] | None


def read_lora(file: Path, weight: float) -> ExtraLora:
    """Read a LoRA for Stable Diffusion 1.x or 2.x. Raises AdapterError if it is not one."""
    try:
        with quiet():
            tensors, alphas, metadata = StableDiffusionLoraLoaderMixin.lora_state_dict(
                str(file.parent),
                weight_name=file.name,
                use_safetensors=True,
                local_files_only=True,
                return_lora_metadata=True,
            )
    except (KeyError, OSError, SafetensorError, TypeError, ValueError) as error:
        raise _lora_error(file, f"cannot be read: {error}") from error
    prefixes = {name.partition(".")[0] for name in tensors}
    others = prefixes - {"unet", "text_encoder"}
    if others or not prefixes or not all("lora" in name for name in tensors):
        raise _lora_error(file, "is not a LoRA for Stable Diffusion 1.x or 2.x")
    return ExtraLora(
        file=file, weight=weight, tensors=tensors, alphas=alphas or None, metadata=metadata or None
    )


def merge_into_unet(lora: ExtraLora, unet: UNet2DConditionModel) -> None:
    """Merge a LoRA into a UNet's weights. Raises AdapterError if it does not fit."""
    expected = _count(lora, "unet")
    if not expected:
        return
    try:
        with quiet():
            StableDiffusionLoraLoaderMixin.load_lora_into_unet(
                lora.tensors, lora.alphas, unet, adapter_name="extra", metadata=lora.metadata
            )
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise _lora_error(lora.file, f"does not fit the base: {error}") from error
    loaded = sum(".lora_" in name for name in unet.state_dict())
    if loaded != expected:
        raise _lora_error(
            lora.file, f"does not fit the base, which uses {loaded} of its {expected} tensors"
        )
    with quiet():
        unet.fuse_lora(lora_scale=lora.weight, adapter_names=["extra"])
        unet.unload_lora()


def add_to_text_encoder(loras: Sequence[ExtraLora], encoder: CLIPTextModel) -> None:
    """Attach LoRAs to a text encoder. Raises AdapterError if they do not fit."""
    names = {f"extra{n}": lora for n, lora in enumerate(loras) if _count(lora, "text_encoder")}
    for name, lora in names.items():
        try:
            with quiet():
                StableDiffusionLoraLoaderMixin.load_lora_into_text_encoder(
                    lora.tensors, lora.alphas, encoder, adapter_name=name, metadata=lora.metadata
                )
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise _lora_error(lora.file, f"does not fit the text encoder: {error}") from error
    if names:
        set_weights_and_activate_adapters(
            encoder, list(names), [lora.weight for lora in names.values()]
        )


def _count(lora: ExtraLora, part: str) -> int:
    """Count the tensors for a part, without the alphas that some files have."""
    return sum(name.startswith(f"{part}.") and not name.endswith(".alpha") for name in lora.tensors)


def _lora_error(file: Path, problem: str) -> AdapterError:
    return AdapterError(
        f"The LoRA {file} {problem}.", hint="Remove it from `loras` in models.toml, or replace it."
    )
