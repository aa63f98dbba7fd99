"""Load the base model from diffusers' folder layout, and encode prompts with it.

Works with any model that is structured like Stable Diffusion 1.x or 2.x (Rombach et al. 2022, arXiv
2112.10752); all sizes are read from its configs.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, ModelMixin, UNet2DConditionModel
from safetensors import SafetensorError
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer, PreTrainedModel

from covergen.compute.memory import is_out_of_memory
from covergen.core.errors import UsageError
from covergen.diffusion.base_config import BaseConfig, base_error, vae_class
from covergen.diffusion.extra_lora import ExtraLora, add_to_text_encoder
from covergen.diffusion.memory import memory_error
from covergen.diffusion.quiet import quiet

__all__ = ["LOADING_ERRORS", "Base", "Vae", "encode_prompts", "load_base"]

# What diffusers and transformers raise if weights do not match their config.
LOADING_ERRORS = (
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
)


Vae: TypeAlias = AutoencoderKL | AutoencoderTiny


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The UNet and the VAE, frozen and in evaluation mode."""

    unet: UNet2DConditionModel
    vae: Vae


def load_base(
    config: BaseConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    layout: torch.memory_format | None = None,
) -> Base:
    """Load the UNet and the VAE; a VAE that is known to overflow in fp16 is loaded in fp32.

    `layout` is the memory format of the weights, None for the fastest on the device. Raises
    ModelError if the weights do not match their config or do not fit in the device's memory.
    """
    if layout is None:
        layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
    upcast = config.vae_overflows and dtype == torch.float16
    unet = _load(UNet2DConditionModel, config, "unet", dtype)
    vae = _load(vae_class(config.vae), config, "vae", torch.float32 if upcast else dtype)
    try:
        unet, vae = (part.to(device).to(memory_format=layout) for part in (unet, vae))
        return Base(unet=unet, vae=vae)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise memory_error(f"{config.folder} does not fit in the memory of {device}.") from error


@torch.no_grad()
def encode_prompts(
    config: BaseConfig, prompts: Sequence[str], *, masked: bool, loras: Sequence[ExtraLora] = ()
) -> list[Tensor]:
    """Encode prompts; the text encoder is loaded for this call only, with `loras`.

    `masked` passes the tokenizer's attention mask to the text encoder, which
    `StableDiffusionPipeline` does only if the encoder's config asks for it. Returns (1, T, d)
    float32 on the CPU for each prompt: the empty prompt is padded to the encoder's full length for
    guidance, others run from the start token to the end token. Raises ModelError, and UsageError
    for a prompt that is too long.
    """
    encoder = _load(CLIPTextModel, config, "text_encoder", torch.float32)
    add_to_text_encoder(loras, encoder)
    ids, mask = _tokenize(config, prompts, encoder.config.max_position_embeddings)
    if int(ids.max()) >= encoder.config.vocab_size:
        raise base_error(
            f"{config.folder / 'tokenizer'}: expected token IDs below {encoder.config.vocab_size}, "
            f"the text encoder's vocabulary size, found {int(ids.max())}."
        )
    masked = masked or getattr(encoder.config, "use_attention_mask", False)
    encoded = []
    # One at a time, so that a prompt's encoding does not depend on the others.
    for prompt, row, used in zip(prompts, ids, mask, strict=True):
        hidden = encoder(row[None], attention_mask=used[None] if masked else None)[0]
        encoded.append(hidden[:, : int(used.sum())] if prompt else hidden)
    return encoded


def _tokenize(config: BaseConfig, prompts: Sequence[str], longest: int) -> tuple[Tensor, Tensor]:
    """Return token IDs and their attention mask, both (B, T)."""
    folder = config.folder / "tokenizer"
    try:
        with quiet():
            tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
            length = min(tokenizer.model_max_length, longest)
            needed = [len(ids) for ids in tokenizer(list(prompts)).input_ids]
            tokens = tokenizer(
                list(prompts),
                padding="max_length",
                max_length=length,
                truncation=True,
                return_tensors="pt",
            )
    except Exception as error:  # the Rust tokenizer raises plain Exception
        raise base_error(f"{folder}: expected a CLIP tokenizer: {error}.") from error
    for prompt, count in zip(prompts, needed, strict=True):
        if count > length:
            shown = textwrap.shorten(prompt, 40)
            raise UsageError(
                f"The style '{shown}' is too long: it has {count - 2} tokens, but the model's text"
                f" encoder accepts {length - 2}."
            )
    return tokens.input_ids, tokens.attention_mask


def _load(
    model_class: type[ModelMixin | PreTrainedModel],
    config: BaseConfig,
    part: str,
    dtype: torch.dtype,
) -> ModelMixin | PreTrainedModel:
    folder = config.vae_folder if part == "vae" else config.folder / part
    try:
        with quiet():
            model, report = model_class.from_pretrained(
                folder,
                variant=config.variants[part],
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except LOADING_ERRORS as error:
        raise base_error(f"{folder}: its weights cannot be loaded: {error}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise base_error(f"{folder}: {len(missing)} tensors are missing, such as {missing[0]}.")
    return model.eval().requires_grad_(False)
