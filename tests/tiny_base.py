"""Small bases and adapters of the real classes, with random weights, for fast tests.

Their pictures are meaningless, but have colors and edges, and depend on the condition, the seed and
the adapter.
"""

import json
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, DDIMScheduler, PNDMScheduler, UNet2DConditionModel
from peft import LoraConfig
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from covergen.diffusion.adapter import create, save
from covergen.diffusion.projection import ProjectionKind
from covergen.diffusion.quiet import quiet

_NOISE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "set_alpha_to_one": False,
    "steps_offset": 1,
}

# Like Stable Diffusion 1.5: 8 pixels per latent, 77 tokens, epsilon prediction, PNDM.
_FIRST: dict[str, Any] = {
    "tokens": 77,
    "latent_channels": 4,
    "unet": {
        "sample_size": 8,
        "block_out_channels": (16, 32),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    },
    "vae": {"block_out_channels": (8, 8, 16, 16), "scaling_factor": 0.18215},
    "scheduler": (PNDMScheduler, {**_NOISE, "skip_prk_steps": True}),
}

# Like Stable Diffusion 2.1, with unusual sizes: 4 pixels per latent, 3 channels, 16 tokens, not
# square, linear projections, v-prediction.
_SECOND: dict[str, Any] = {
    "tokens": 16,
    "latent_channels": 3,
    "unet": {
        "sample_size": (12, 16),
        "block_out_channels": (24, 48),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "attention_head_dim": (3, 6),
        "norm_num_groups": 8,
        "use_linear_projection": True,
    },
    "vae": {"block_out_channels": (8, 8, 16), "scaling_factor": 0.3},
    "scheduler": (
        DDIMScheduler,
        {**_NOISE, "clip_sample": False, "prediction_type": "v_prediction"},
    ),
}


def make_tiny_base(
    folder: Path,
    *,
    like: Literal["sd1", "sd2"] = "sd1",
    cross_attention_dim: int = 32,
    latent_channels: int | None = None,
    seed: int = 0,
    variant: str | None = None,
) -> Path:
    """Save a base in diffusers' layout; return its folder.

    Pictures are 64 by 64 pixels for "sd1", and 48 high and 64 wide for "sd2". `variant` "fp16"
    saves half-precision weights with their own file names.
    """
    shape = {"sd1": _FIRST, "sd2": _SECOND}[like]
    channels = latent_channels or shape["latent_channels"]
    tokenizer = make_tokenizer(shape["tokens"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts: dict[str, Any] = {
            "unet": _make_unet(channels, cross_attention_dim, shape["unet"]),
            "vae": _make_vae(channels, shape["vae"]),
            "text_encoder": _make_text_encoder(tokenizer, cross_attention_dim),
        }
    scheduler_class, options = shape["scheduler"]
    with quiet():
        for name, part in parts.items():
            typed = part.half() if variant == "fp16" else part
            typed.save_pretrained(folder / name, variant=variant)
        tokenizer.save_pretrained(folder / "tokenizer")
        scheduler_class(**options).save_pretrained(folder / "scheduler")
    classes = {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", scheduler_class.__name__],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
    }
    index = {"_class_name": "StableDiffusionPipeline", "requires_safety_checker": False, **classes}
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def make_tiny_adapter(
    path: Path,
    base: Path,
    *,
    d_audio: int = 512,
    projection: ProjectionKind = "tokens",
    tokens: int = 7,
    rank: int = 4,
    seed: int = 0,
    reference: bool = False,
) -> Path:
    """Save an adapter that visibly changes a base's pictures; return its path.

    `reference` writes the file like the reference implementation: without metadata, and with a
    single token.
    """
    unet = UNet2DConditionModel.from_config(
        json.loads((base / "unet" / "config.json").read_text(encoding="utf-8"))
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if reference:
            _save_reference(path, unet, d_audio, projection, rank)
            return path
        module = create(
            unet,
            d_audio=d_audio,
            rank=rank,
            alpha=rank,
            projection=projection,
            tokens=tokens if projection == "tokens" else 1,
        )
        _randomize(unet, module)
    save(
        path, unet, module, title="Tiny", base="tiny/base", clap="tiny/clap", training={"steps": 0}
    )
    return path


def _save_reference(
    path: Path, unet: UNet2DConditionModel, d_audio: int, projection: ProjectionKind, rank: int
) -> None:
    targets = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out"]
    unet.add_adapter(
        LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=targets)
    )
    linear = nn.Linear(d_audio, unet.config.cross_attention_dim)
    _randomize(unet, linear)
    tensors = {f"unet_lora.{k}": v for k, v in unet.state_dict().items() if "lora_" in k}
    if projection == "linear":
        tensors["audio_projection.weight"] = linear.weight.detach()
        tensors["audio_projection.bias"] = linear.bias.detach()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def _randomize(unet: UNet2DConditionModel, projection: nn.Module) -> None:
    """Move the weights far from their initialization, in place of training."""
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if ".lora_" in name:
                parameter.normal_(std=0.3)
        for parameter in projection.parameters():
            if parameter.ndim == 2:
                parameter.normal_()


def _make_unet(
    channels: int, cross_attention_dim: int, options: dict[str, Any]
) -> UNet2DConditionModel:
    unet = UNet2DConditionModel(
        in_channels=channels,
        out_channels=channels,
        cross_attention_dim=cross_attention_dim,
        **options,
    )
    for name, module in unet.named_modules():
        if name.endswith(("attn2.to_out.0", "proj_out")):
            nn.init.normal_(module.weight, std=0.3)  # so that the condition has an effect
    return unet


def _make_vae(channels: int, options: dict[str, Any]) -> AutoencoderKL:
    stages = len(options["block_out_channels"])
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * stages,
        up_block_types=("UpDecoderBlock2D",) * stages,
        norm_num_groups=4,
        **options,
    )
    nn.init.normal_(vae.decoder.conv_out.weight, std=0.1)  # for saturated colors
    return vae


def make_tokenizer(length: int) -> CLIPTokenizer:
    characters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    words = [*characters, *(f"{c}</w>" for c in characters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=length)


def _make_text_encoder(tokenizer: CLIPTokenizer, width: int) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)
