"""Load the base model from diffusers' folder layout, and encode prompts with it.

Works with any model that is structured like Stable Diffusion 1.x or 2.x (Rombach et al. 2022, arXiv
2112.10752); all sizes are read from its configs.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, ModelMixin, UNet2DConditionModel
from safetensors import SafetensorError
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, PreTrainedModel

from covergen.compute.memory import is_out_of_memory
from covergen.core.errors import UsageError
from covergen.diffusion.base_config import BaseConfig, base_error, vae_class
from covergen.diffusion.batch_size import memory_error
from covergen.diffusion.extra_lora import ExtraLora, add_to_text_encoder
from covergen.diffusion.quiet import quiet

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


_SMALL_TOKENIZER = 10_000  # tokens
_WORD = re.compile(r"\w[\w'\u2019-]*")

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
    layout = layout or fastest_layout(device)
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


def fastest_layout(device: torch.device) -> torch.memory_format:
    """Return the memory format in which a device computes convolutions the fastest."""
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def encode_prompts(
    config: BaseConfig,
    prompts: Sequence[str],
    *,
    masked: bool,
    loras: Sequence[ExtraLora] = (),
) -> list[Tensor]:
    """Encode prompts; the text encoder is loaded for this call only.

    Returns (1, T, d) float32 on the CPU for each prompt: the empty prompt is padded to the full
    length for guidance, others run from the start token to the end token. Raises what
    `PromptEncoder` and its `encode` raise.
    """
    encoder = PromptEncoder(config, masked=masked, loras=loras)
    return [encoder.encode(prompt, padded=not prompt) for prompt in prompts]


class PromptEncoder:
    """A base's text encoder and tokenizer, in float32.

    `masked` passes the tokenizer's attention mask to the text encoder, which
    `StableDiffusionPipeline` does only if the encoder's config asks for it. Raises ModelError, and
    AdapterError if `loras` do not fit.
    """

    def __init__(
        self,
        config: BaseConfig,
        *,
        masked: bool,
        device: torch.device | str = "cpu",
        loras: Sequence[ExtraLora] = (),
    ) -> None:
        self._folder = config.folder / "tokenizer"
        encoder = _load(CLIPTextModel, config, "text_encoder", torch.float32)
        add_to_text_encoder(loras, encoder)
        self._encoder = encoder.to(device)
        self._masked = masked or getattr(encoder.config, "use_attention_mask", False)
        self._tokenizer = _load_tokenizer(self._folder)
        longest = encoder.config.max_position_embeddings
        self._length = min(self._tokenizer.model_max_length, longest)

    def check_length(self, prompt: str) -> None:
        """Raise UsageError if a prompt is too long."""
        with _tokenizer_errors(self._folder), quiet():
            count = len(self._tokenizer(prompt).input_ids)
        if count > self._length:
            shown = textwrap.shorten(prompt, 40)
            unknown = ", ".join(self.unknown_words([prompt]))
            raise UsageError(
                f"The prompt '{shown}' is too long: it has {count - 2} tokens, but the model's text"
                f" encoder accepts {self._length - 2}.",
                hint=f"It does not know these words, and spells them: {unknown}."
                if unknown
                else "",
            )

    def unknown_words(self, prompts: Iterable[str]) -> tuple[str, ...]:
        """Return the words that a small tokenizer, which has one token for each word, must spell.

        Large tokenizers split many words that their text encoders know, so they have none.
        """
        if len(self._tokenizer) > _SMALL_TOKENIZER:
            return ()
        words = dict.fromkeys(word for text in prompts for word in _WORD.findall(text))
        with _tokenizer_errors(self._folder), quiet():
            return tuple(
                word for word in words if any(map(self._is_spelled, re.findall(r"\w+", word)))
            )

    def _is_spelled(self, word: str) -> bool:
        return len(self._tokenizer.tokenize(word)) > 1

    @torch.no_grad()
    def encode(self, prompt: str, *, padded: bool, truncate: bool = False) -> Tensor:
        """Encode one prompt, so that its encoding does not depend on others: (1, T, d) float32.

        `padded`: to the encoder's full length, as in `StableDiffusionPipeline`; otherwise, T runs
        from the start token to the end token. Raises UsageError for a prompt that is too long,
        unless it is to be truncated, and ModelError for a tokenizer of another model.
        """
        if not truncate:
            self.check_length(prompt)
        with _tokenizer_errors(self._folder), quiet():
            tokens = self._tokenizer(
                [prompt],
                padding="max_length",
                max_length=self._length,
                truncation=True,
                return_tensors="pt",
            ).to(self._encoder.device)
        ids, used = tokens.input_ids, tokens.attention_mask
        known = self._encoder.config.vocab_size
        if int(ids.max()) >= known:
            raise base_error(
                f"{self._folder}: expected token IDs below {known}, the text encoder's vocabulary"
                f" size, found {int(ids.max())}."
            )
        hidden: Tensor = self._encoder(ids, attention_mask=used if self._masked else None)[0]
        return hidden if padded else hidden[:, : int(used.sum())]


def count_too_long(config: BaseConfig, texts: Iterable[str]) -> int:
    """Count the texts with more tokens than a base's text encoder reads. Raises ModelError."""
    texts = [text for text in texts if text]
    if not texts:
        return 0
    tokenizer = _load_tokenizer(config.folder / "tokenizer")
    with _tokenizer_errors(config.folder / "tokenizer"), quiet():
        encoder = CLIPTextConfig.from_pretrained(config.folder / "text_encoder")
        longest = min(tokenizer.model_max_length, encoder.max_position_embeddings)
        return sum(len(tokenizer(text).input_ids) > longest for text in texts)


def _load_tokenizer(folder: Path) -> CLIPTokenizer:
    with _tokenizer_errors(folder), quiet():
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


@contextmanager
def _tokenizer_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the Rust tokenizer raises plain Exception
        raise base_error(f"{folder}: expected a CLIP tokenizer: {error}.") from error


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
