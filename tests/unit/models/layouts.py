"""The files of repositories of each kind, as on the Hub, with placeholder contents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
CLAP = "laion/larger_clap_music_and_speech"

# The files of a Stable Diffusion 1.5 repository that covergen reads.
BASE_READ = {
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
}

# Its other files: other formats, half precision, unused parts.
BASE_UNREAD = {
    ".gitattributes",
    "README.md",
    "feature_extractor/preprocessor_config.json",
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/pytorch_model.bin",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "v1-5-pruned-emaonly.ckpt",
    "v1-5-pruned-emaonly.safetensors",
    "vae/diffusion_pytorch_model.fp16.safetensors",
}

CLAP_READ = {
    "config.json",
    "merges.txt",
    "preprocessor_config.json",
    "pytorch_model.bin",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
}
CLAP_UNREAD = {".gitattributes", "README.md"}

# Like Stable Diffusion XL: several variants and formats, and folders of other programs.
SDXL_INDEX = json.dumps(
    {
        "_class_name": "StableDiffusionXLPipeline",
        "force_zeros_for_empty_prompt": True,
        "image_encoder": [None, None],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
).encode()
_SDXL_CONFIGS = {
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder_2/config.json",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "tokenizer_2/merges.txt",
    "tokenizer_2/tokenizer_config.json",
    "tokenizer_2/vocab.json",
    "unet/config.json",
    "vae/config.json",
}
_SDXL_WEIGHTS = {
    "text_encoder/model",
    "text_encoder_2/model",
    "unet/diffusion_pytorch_model",
    "vae/diffusion_pytorch_model",
}
# What is read of it in half precision.
SDXL_READ = _SDXL_CONFIGS | {f"{name}.fp16.safetensors" for name in _SDXL_WEIGHTS}
SDXL = (
    SDXL_READ
    | {f"{name}.safetensors" for name in _SDXL_WEIGHTS}
    | {
        "README.md",
        "sd_xl_base_1.0.safetensors",
        "safety_checker/config.json",
        "safety_checker/model.safetensors",
        "text_encoder/flax_model.msgpack",
        "text_encoder/model.onnx",
        "unet/diffusion_pytorch_model.bin",
        "vae_1_0/config.json",
        "vae_1_0/diffusion_pytorch_model.safetensors",
        "vae_decoder/model.onnx",
    }
)


def contents(names: set[str]) -> dict[str, bytes]:
    """Return distinct contents for each file."""
    return {name: f"the file {name}".encode() for name in sorted(names)}


def fill(folder: Path, names: set[str]) -> Path:
    """Write placeholder files to a folder."""
    for name, data in contents(names).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def cache(hub_cache: Path, repo_id: str, names: set[str], *, revision: str = "main") -> Path:
    """Put files into a Hub cache in huggingface_hub's layout, and return the snapshot folder.

    Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    """
    commit = "fedcba9876543210fedcba9876543210fedcba98"
    repository = hub_cache / f"models--{repo_id.replace('/', '--')}"
    reference = repository / "refs" / revision
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit)
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True, exist_ok=True)
    return fill(snapshot, names)
