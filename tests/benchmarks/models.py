"""The models of the painting and training benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

import covergen.starter
from covergen.diffusion.adapter import create, save
from covergen.diffusion.quiet import quiet
from tests.tiny_base import make_tokenizer

if TYPE_CHECKING:
    from tests.benchmarks.race import Setting

__all__ = ["base_and_adapter"]

_STARTER = Path(covergen.starter.__file__).parent / "weights"

# Stable Diffusion 1.5's configs, where they differ from the defaults.
_UNET = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
_VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "sample_size": 512,
}
_NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def base_and_adapter(setting: Setting) -> tuple[Path, Path]:
    """Return the starter's base and adapter, or full-size ones with random weights."""
    if setting.size == "starter":
        return _STARTER / "base", _STARTER / "adapter.safetensors"
    base, adapter = setting.folder / "sd15", setting.folder / "sd15.safetensors"
    if not adapter.exists():
        _make_sd15(base, adapter, torch.device(setting.device))
    return base, adapter


def _make_sd15(folder: Path, adapter: Path, device: torch.device) -> None:
    """Save a base of Stable Diffusion 1.5's size in half precision, and an adapter for it.

    The weights are drawn on `device`, which takes a second on a GPU and a minute on a CPU.
    """
    tokenizer = make_tokenizer(77)
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with device:
        parts = {
            "unet": UNet2DConditionModel(**_UNET),
            "vae": AutoencoderKL(**_VAE),
            "text_encoder": CLIPTextModel(text),
        }
    with quiet():
        for name, part in parts.items():
            part.half().save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / "tokenizer")
        scheduler = PNDMScheduler(skip_prk_steps=True, steps_offset=1, **_NOISE)
        scheduler.save_pretrained(folder / "scheduler")
    index = {"_class_name": "StableDiffusionPipeline"}
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    unet = parts["unet"].float()
    projection = create(unet, d_audio=512, rank=8, alpha=8, projection="tokens", tokens=7)
    save(adapter, unet, projection, title="SD 1.5", base="", clap="", training={})
