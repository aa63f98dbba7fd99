"""What the adapter learns: to tell the noise in a noisy latent, given the sound.

Everything that is drawn belongs to its step and its place in the batch, so that neither the number
of processes nor an interruption changes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor, nn

from covergen.core.errors import ModelError
from covergen.diffusion.base_config import BaseConfig
from covergen.diffusion.projection import align
from covergen.diffusion.schedulers import make_scheduler

__all__ = ["Draws", "Noise", "denoising_losses", "draw", "make_tokens", "min_snr", "read_noise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How a base was taught to denoise.

    `signal`: (T,) float32 on the CPU, the share of signal in a noisy latent's variance, by time.
    `velocity`: it predicts v (Salimans & Ho 2022, arXiv 2202.00512, app. D), else the noise.
    """

    signal: Tensor
    velocity: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """What chance says of B pairs, on the CPU.

    `places`: (B,) in 0..1, where the picture is cropped; `dropped`: (B,) bool, the sound is not
    told; `times`: (B,) int64; `noise`: (B, 2, C, h, w) float32, first of the latents' own
    distribution, then of diffusion.
    """

    places: NDArray[np.float64]
    dropped: Tensor
    times: Tensor
    noise: Tensor


def read_noise(config: BaseConfig) -> Noise:
    """Raises ModelError for a base that predicts neither noise nor velocity."""
    scheduler = make_scheduler("ddpm", config.scheduler, steps=1)
    predicted = scheduler.config.prediction_type
    if predicted not in ("epsilon", "v_prediction"):
        raise ModelError(
            f"{config.folder / 'scheduler'}: expected a base that predicts epsilon or "
            f"v_prediction, found {predicted}.",
            hint="Name another base.",
        )
    return Noise(signal=scheduler.alphas_cumprod.float(), velocity=predicted == "v_prediction")


def draw(
    seeds: Sequence[Sequence[int]], latent_shape: Sequence[int], *, dropout: float, times: int
) -> Draws:
    """Draw what B pairs need, each from its own seed; `latent_shape` is (C, h, w)."""
    sources = [np.random.default_rng(list(seed)) for seed in seeds]
    uniform = np.stack([source.random(3) for source in sources])
    normal = [source.standard_normal((2, *latent_shape), np.float32) for source in sources]
    return Draws(
        places=uniform[:, 0],
        dropped=torch.from_numpy(uniform[:, 1] < dropout),
        times=torch.from_numpy((uniform[:, 2] * times).astype(np.int64)),
        noise=torch.from_numpy(np.stack(normal)),
    )


def make_tokens(
    projection: nn.Module, vectors: Tensor, unconditional: Tensor, dropped: Tensor
) -> tuple[Tensor, Tensor | None]:
    """What the UNet attends to: the sound, or the empty prompt where it is dropped.

    vectors: (B, d_audio); unconditional: (1, T, d); dropped: (B,) bool on the CPU. Returns
    (B, N or T, d), and a mask (B, T) where not every position holds a token.
    """
    conditional = projection(vectors)
    if not dropped.any():
        return conditional, None
    length = max(unconditional.shape[1], conditional.shape[1])
    empty, empty_mask = align(unconditional.expand(len(vectors), -1, -1), length)
    heard, heard_mask = align(conditional, length)
    chosen = dropped.to(vectors.device)
    tokens = torch.where(chosen[:, None, None], empty, heard)
    if length % conditional.shape[1] == 0 and length == unconditional.shape[1]:
        return tokens, None
    return tokens, torch.where(chosen[:, None], empty_mask, heard_mask)


def denoising_losses(
    unet: UNet2DConditionModel,
    vae: Mapping[str, Any],
    noise: Noise,
    latents: Tensor,
    tokens: Tensor,
    mask: Tensor | None,
    draws: Draws,
    *,
    gamma: float | None,
) -> Tensor:
    """The weighted squared error of each pair: (B,) float32.

    latents: (B, 2, C, h, w), means and deviations, not scaled; `vae` is its config. The UNet
    computes in the type of its frozen weights, all else in float32.
    """
    device, dtype = tokens.device, unet.conv_in.weight.dtype
    signal = noise.signal[draws.times]
    weight = _place(min_snr(signal, gamma, velocity=noise.velocity), device)
    level = _place(signal, device)[:, None, None, None]
    mean, deviation = _place(latents, device).float().unbind(1)
    own_noise, added = _place(draws.noise, device).unbind(1)
    clean = (mean + deviation * own_noise - (vae["shift_factor"] or 0.0)) * vae["scaling_factor"]
    noisy = level.sqrt() * clean + (1 - level).sqrt() * added
    target = level.sqrt() * added - (1 - level).sqrt() * clean if noise.velocity else added
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        predicted = unet(
            noisy.to(dtype),
            _place(draws.times, device),
            encoder_hidden_states=tokens.to(dtype),
            encoder_attention_mask=mask,
            return_dict=False,
        )[0]
    losses: Tensor = weight * (predicted.float() - target).square().mean((1, 2, 3))
    return losses


def min_snr(signal: Tensor, gamma: float | None, *, velocity: bool) -> Tensor:
    """Min-SNR weights of the loss (Hang et al. 2023, arXiv 2303.09556), by the share of signal.

    For the noise, min(SNR, gamma) / SNR. The velocity's own form, min(SNR + 1, gamma) / (SNR + 1),
    is 1 at no signal, where min(SNR, gamma) / (SNR + 1) would leave out a base's last step.
    """
    if gamma is None:
        return torch.ones_like(signal)
    inverse = 1 - signal if velocity else (1 - signal) / signal  # 1 / (SNR + 1), 1 / SNR
    return (gamma * inverse).clamp(max=1.0)


def _place(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to a device without waiting for what it is doing."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
