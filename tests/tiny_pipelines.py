"""Small text-to-image pipelines of the real classes, with random weights, for fast tests."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from covergen.diffusion.quiet import quiet
from tests.tiny_base import make_tokenizer

_WIDTH = 32
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def make_tiny_pipeline(folder: Path, kind: str, *, variant: str | None = None) -> Path:
    """Save a pipeline in diffusers' layout; `kind` is one of KINDS. Returns the folder."""
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        pipeline = KINDS[kind]()
        (pipeline.to(torch.float16) if variant else pipeline).save_pretrained(
            folder, variant=variant
        )
    return folder


def make_tiny_decoder(folder: Path, *, channels: int = 4) -> Path:
    """Save an AutoencoderTiny, 8 pixels per latent, like TAESD."""
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(1)
        vae = AutoencoderTiny(
            latent_channels=channels,
            encoder_block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            num_encoder_blocks=(1, 1, 1, 1),
            num_decoder_blocks=(1, 1, 1, 1),
        )
        last = vae.decoder.layers[-1]
        nn.init.normal_(last.weight, std=2.0)  # for colors
        nn.init.constant_(last.bias, 0.5)
        vae.save_pretrained(folder)
    return folder


def _sdxl() -> StableDiffusionXLPipeline:
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=(2, 4),
        norm_num_groups=8,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + _WIDTH,
        cross_attention_dim=2 * _WIDTH,
    )
    return StableDiffusionXLPipeline(
        unet=_sensitive(unet),
        vae=_vae(4),
        text_encoder=CLIPTextModel(_clip()),
        text_encoder_2=CLIPTextModelWithProjection(_clip()),
        tokenizer=make_tokenizer(77),
        tokenizer_2=make_tokenizer(77),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
        ),
    )


def _sd3() -> StableDiffusion3Pipeline:
    transformer = SD3Transformer2DModel(
        sample_size=8,
        patch_size=1,
        in_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=2 * _WIDTH,
        caption_projection_dim=32,
        pooled_projection_dim=2 * _WIDTH,
        out_channels=4,
    )
    return StableDiffusion3Pipeline(
        transformer=transformer,
        vae=_vae(4, shift_factor=0.06),
        text_encoder=CLIPTextModelWithProjection(_clip()),
        text_encoder_2=CLIPTextModelWithProjection(_clip()),
        text_encoder_3=None,
        tokenizer=make_tokenizer(77),
        tokenizer_2=make_tokenizer(77),
        tokenizer_3=None,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def _flux() -> FluxPipeline:
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=_WIDTH,
        pooled_projection_dim=_WIDTH,
        axes_dims_rope=[4, 4, 8],
        guidance_embeds=True,
    )
    return FluxPipeline(
        transformer=transformer,
        vae=_vae(4, shift_factor=0.06),
        text_encoder=CLIPTextModel(_clip()),
        text_encoder_2=_t5(),
        tokenizer=make_tokenizer(77),
        tokenizer_2=_t5_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )


def _pixart() -> PixArtAlphaPipeline:
    transformer = PixArtTransformer2DModel(
        sample_size=32,
        num_layers=1,
        patch_size=4,
        attention_head_dim=8,
        num_attention_heads=2,
        in_channels=4,
        cross_attention_dim=16,
        out_channels=8,
        caption_channels=_WIDTH,
        use_additional_conditions=False,
    )
    return PixArtAlphaPipeline(
        transformer=transformer,
        vae=_vae(4),
        text_encoder=_t5(),
        tokenizer=_t5_tokenizer(),
        scheduler=DPMSolverMultistepScheduler(),
    )


KINDS = {"sdxl": _sdxl, "sd3": _sd3, "flux": _flux, "pixart": _pixart}


def _clip() -> CLIPTextConfig:
    tokenizer = make_tokenizer(77)
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=_WIDTH,
        intermediate_size=_WIDTH,
        projection_dim=_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _t5() -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(vocab_size=64, d_model=_WIDTH, d_kv=8, d_ff=_WIDTH, num_layers=1, num_heads=2)
    )


def _t5_tokenizer() -> T5Tokenizer:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0)]
    return T5Tokenizer(vocab=[*pieces, *((letter, -3.0) for letter in _LETTERS)], extra_ids=0)


def _vae(channels: int, **options: Any) -> AutoencoderKL:
    vae = AutoencoderKL(
        latent_channels=channels,
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        **options,
    )
    nn.init.normal_(vae.decoder.conv_out.weight, std=0.1)
    return vae


def _sensitive(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    for name, module in unet.named_modules():
        if name.endswith(("attn2.to_out.0", "proj_out")):
            nn.init.normal_(module.weight, std=0.3)  # so that the prompt has an effect
    return unet


def edit_json(file: Path, **values: object) -> None:
    """Change entries of a JSON file."""
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**content, **values}), encoding="utf-8")
