"""The starter's four models with random weights, of the same classes as the large models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    ClapAudioConfig,
    ClapAudioModelWithProjection,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
)

from covergen.starter.recipe.mel import MEL
from covergen.starter.recipe.settings import TOKENS

if TYPE_CHECKING:
    from covergen.starter.recipe.settings import AudioEncoderSettings, BaseSettings, VaeSettings


_SKIP_PATH = (
    "conv_in",
    "conv_shortcut",
    "downsamplers.0.conv",
    "upsamplers.0.conv",
    "conv_out",
    "quant_conv",
)
_BRANCH = 0.3
_COLOR = 1.0
_OFFSET = 4.0


def make_vae(settings: VaeSettings, latent_channels: int) -> AutoencoderKL:
    """Return an autoencoder from pictures in -1..1 to latents with 1/32 of their side."""
    stages = len(settings.channels)
    vae = AutoencoderKL(
        block_out_channels=settings.channels,
        down_block_types=("DownEncoderBlock2D",) * stages,
        up_block_types=("UpDecoderBlock2D",) * stages,
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=4,
        mid_block_add_attention=False,
        scaling_factor=1.0,
        force_upcast=False,
    )
    _keep_scale(vae)
    _amplify_color(vae.encoder.conv_in)
    _open_norm(vae.encoder.mid_block.resnets[-1].conv2.bias, vae.encoder.conv_norm_out)
    _open_norm(vae.decoder.up_blocks[-1].resnets[-1].conv2.bias, vae.decoder.conv_norm_out)
    return vae.to(memory_format=torch.channels_last)


@torch.no_grad()
def _keep_scale(model: nn.Module) -> None:
    """Initialize the paths around residual branches, and thus around their norms, to keep scale.

    A flat color has no other path, and torch's default initialization shrinks it over a
    hundredfold.
    """
    for name, module in model.named_modules():
        if name.endswith(_SKIP_PATH):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
        elif name.endswith(".conv2"):
            module.weight *= _BRANCH


@torch.no_grad()
def _amplify_color(first: nn.Conv2d) -> None:
    """Amplify color in the first filters: it varies less than lightness."""
    first.weight += _COLOR * (first.weight - first.weight.mean(1, keepdim=True))


@torch.no_grad()
def _open_norm(bias_before: Tensor, norm: nn.GroupNorm) -> None:
    """Initialize a norm that everything must pass through as nearly the identity.

    It would otherwise remove a picture's brightness and contrast. Offsets on the channels, larger
    than the signal, dominate the norm's standard deviation and are subtracted after it.
    """
    offsets = torch.full((norm.num_channels,), _OFFSET)
    offsets[::2] *= -1
    bias_before += offsets
    norm.weight.fill_(_OFFSET)
    norm.bias.copy_(-offsets)


def make_audio_encoder(settings: AudioEncoderSettings) -> ClapAudioModelWithProjection:
    """Return an audio encoder from (B, 1, 501, 128) decibels to (B, 512)."""
    stages = len(settings.depths)
    config = ClapAudioConfig(
        num_mel_bins=MEL.feature_size,
        patch_embeds_hidden_size=settings.width,
        hidden_size=settings.width * 2 ** (stages - 1),
        depths=list(settings.depths),
        num_hidden_layers=stages,
        num_attention_heads=list(settings.heads),
        patch_size=settings.patch,
        patch_stride=[settings.patch, settings.patch],
        projection_dim=settings.dimension,
        projection_hidden_act="gelu",
        hidden_dropout_prob=0.0,
        num_classes=1,
    )
    audio_encoder = ClapAudioModelWithProjection(config)
    # The input is in decibels, so the running statistics must not start at 0 and 1.
    norm = audio_encoder.audio_model.audio_encoder.batch_norm
    norm.running_mean.fill_(-40.0)
    norm.running_var.fill_(400.0)
    return audio_encoder


def make_unet(settings: BaseSettings, latent_channels: int) -> UNet2DConditionModel:
    """Return a UNet with attention at half the latents' side: cheap, but still spatial."""
    unet = UNet2DConditionModel(
        sample_size=settings.side,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=settings.channels,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=settings.width,
        attention_head_dim=settings.heads,  # diffusers' misnomer for the number of heads
        norm_num_groups=8,
        use_linear_projection=True,
    )
    _keep_scale(unet)
    nn.init.zeros_(unet.conv_out.weight)
    return unet.to(memory_format=torch.channels_last)


def make_text_encoder(settings: BaseSettings, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Return a text encoder, to be trained from scratch with the UNet."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.width,
            intermediate_size=2 * settings.width,
            num_hidden_layers=settings.text_layers,
            num_attention_heads=settings.text_heads,
            max_position_embeddings=TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def load_exported(model: nn.Module, folder: Path) -> None:
    """Load exported weights. Raises RuntimeError if they are of another architecture."""
    (path,) = folder.glob("*.safetensors")
    model.load_state_dict(load_file(path))


def make_scheduler() -> DDIMScheduler:
    """Return Stable Diffusion's noise schedule, rescaled to zero terminal SNR.

    The original schedule leaks a picture's mean at the last step, so that no picture could become
    very dark or bright (Lin et al. 2023, arXiv 2305.08891).
    """
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        rescale_betas_zero_snr=True,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        set_alpha_to_one=True,
        steps_offset=1,
        clip_sample=False,
    )
