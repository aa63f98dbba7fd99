"""The training objective: predict the noise in noisy latents, conditioned on the audio.

All random numbers depend only on the step and the position in the batch, so that neither the number
of processes nor an interruption changes them.
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

_CAPTIONS = 1  # distinguishes the seeds of `draw_captioned`
_CAPTIONED = 0.5  # the share of captions that are used


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSchedule:
    """The noise schedule and prediction type that a base was trained with.

    `alphas_cumprod`: (T,) float32 on the CPU, the signal's share of the variance by timestep.
    `v_prediction`: the base predicts v (Salimans & Ho 2022, arXiv 2202.00512, app. D), not epsilon.
    """

    alphas_cumprod: Tensor
    v_prediction: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """The random numbers for B pairs, on the CPU.

    `positions`: (B,) in [0, 1), where the picture is cropped. `dropped`: (B,) bool, True where the
    condition is dropped. `timesteps`: (B,) int64. `noise`: (B, 2, C, h, w) float32, the first to
    sample the latents from the VAE's distribution, the second to add to them. `dropout_seeds`: (B,)
    for the LoRA's dropout.
    """

    positions: NDArray[np.float64]
    dropped: Tensor
    timesteps: Tensor
    noise: Tensor
    dropout_seeds: Sequence[int] = ()


def read_noise_schedule(config: BaseConfig) -> NoiseSchedule:
    """Read a base's schedule. Raises ModelError unless it predicts epsilon or v."""
    scheduler = make_scheduler("ddpm", config.scheduler, steps=1)
    predicted = scheduler.config.prediction_type
    if predicted not in ("epsilon", "v_prediction"):
        raise ModelError(
            f"{config.folder / 'scheduler'}: expected a base that predicts epsilon or "
            f"v_prediction, found {predicted}.",
            hint="Use another base.",
        )
    return NoiseSchedule(
        alphas_cumprod=scheduler.alphas_cumprod.float(), v_prediction=predicted == "v_prediction"
    )


def draw(
    seeds: Sequence[Sequence[int]], latent_shape: Sequence[int], *, dropout: float, timesteps: int
) -> Draws:
    """Draw the random numbers for B pairs, each from its own seed; `latent_shape` is (C, h, w)."""
    generators = [np.random.default_rng(list(seed)) for seed in seeds]
    uniform = np.stack([generator.random(3) for generator in generators])
    normal = [generator.standard_normal((2, *latent_shape), np.float32) for generator in generators]
    return Draws(
        positions=uniform[:, 0],
        dropped=torch.from_numpy(uniform[:, 1] < dropout),
        timesteps=torch.from_numpy((uniform[:, 2] * timesteps).astype(np.int64)),
        noise=torch.from_numpy(np.stack(normal)),
        dropout_seeds=[int(generator.integers(2**62)) for generator in generators],
    )


def draw_captioned(seeds: Sequence[Sequence[int]]) -> list[bool]:
    """Draw which of B pairs use their captions.

    The others are trained with the music alone, which is how most covers are painted. Separate
    random numbers keep those of `draw` as they are for pairs without captions.
    """
    return [np.random.default_rng([*seed, _CAPTIONS]).random() < _CAPTIONED for seed in seeds]


def make_tokens(
    projection: nn.Module,
    vectors: Tensor,
    unconditional: Tensor,
    dropped: Tensor,
    captions: Sequence[Tensor | None] = (),
) -> tuple[Tensor, Tensor | None]:
    """Project embeddings to the UNet's tokens, with the empty prompt where `dropped` is True.

    vectors: (B, d_audio); unconditional: (1, T, d); dropped: (B,) bool on the CPU; captions: the
    tokens before the audio's, (1, C, d) or None for each pair, or none at all. Returns
    (B, N or T, d), and a mask (B, T), or None if every position holds a token.
    """
    conditional = projection(vectors)
    if any(caption is not None for caption in captions):
        return _with_captions(conditional, unconditional, dropped, captions)
    if not dropped.any():
        return conditional, None
    length = max(unconditional.shape[1], conditional.shape[1])
    empty, empty_mask = align(unconditional.expand(len(vectors), -1, -1), length)
    audio, audio_mask = align(conditional, length)
    chosen = dropped.to(vectors.device)
    tokens = torch.where(chosen[:, None, None], empty, audio)
    if length % conditional.shape[1] == 0 and length == unconditional.shape[1]:
        return tokens, None
    return tokens, torch.where(chosen[:, None], empty_mask, audio_mask)


def _with_captions(
    audio: Tensor, unconditional: Tensor, dropped: Tensor, captions: Sequence[Tensor | None]
) -> tuple[Tensor, Tensor | None]:
    """The condition of painting with a style: the words' tokens, then the audio's."""
    sequences = [
        unconditional
        if is_dropped
        else own[None]
        if caption is None
        else torch.cat([_copy_to(caption, audio.device), own[None]], dim=1)
        for own, is_dropped, caption in zip(audio, dropped.tolist(), captions, strict=True)
    ]
    length = max(sequence.shape[1] for sequence in sequences)
    tokens, masks = zip(*(align(sequence, length) for sequence in sequences), strict=True)
    mask = torch.cat(masks)
    return torch.cat(tokens), None if mask.all() else mask


def denoising_losses(
    unet: UNet2DConditionModel,
    vae_config: Mapping[str, Any],
    schedule: NoiseSchedule,
    latents: Tensor,
    tokens: Tensor,
    mask: Tensor | None,
    draws: Draws,
    *,
    gamma: float | None,
) -> Tensor:
    """The weighted mean squared error of each pair: (B,) float32.

    latents: (B, 2, C, h, w), unscaled means and standard deviations. The UNet runs in the dtype of
    its frozen weights, everything else in float32.
    """
    device, dtype = tokens.device, unet.conv_in.weight.dtype
    signal = schedule.alphas_cumprod[draws.timesteps]
    weight = _copy_to(min_snr(signal, gamma, v_prediction=schedule.v_prediction), device)
    alpha = _copy_to(signal, device)[:, None, None, None]
    mean, deviation = _copy_to(latents, device).float().unbind(1)
    latent_noise, noise = _copy_to(draws.noise, device).unbind(1)
    sampled = mean + deviation * latent_noise
    clean = (sampled - (vae_config["shift_factor"] or 0.0)) * vae_config["scaling_factor"]
    noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
    target = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean if schedule.v_prediction else noise
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        predicted = unet(
            noisy.to(dtype),
            _copy_to(draws.timesteps, device),
            encoder_hidden_states=tokens.to(dtype),
            encoder_attention_mask=mask,
            return_dict=False,
        )[0]
    losses: Tensor = weight * (predicted.float() - target).square().mean((1, 2, 3))
    return losses


def min_snr(signal: Tensor, gamma: float | None, *, v_prediction: bool) -> Tensor:
    """Min-SNR loss weights (Hang et al. 2023, arXiv 2303.09556) from the signal's variance share.

    For epsilon: min(SNR, gamma) / SNR. For v: min(SNR + 1, gamma) / (SNR + 1), which is 1 at zero
    SNR, where min(SNR, gamma) / (SNR + 1) would be 0 and ignore the last timestep.
    """
    if gamma is None:
        return torch.ones_like(signal)
    inverse = 1 - signal if v_prediction else (1 - signal) / signal  # 1 / (SNR + 1), 1 / SNR
    return (gamma * inverse).clamp(max=1.0)


def _copy_to(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device without synchronizing with it."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
