"""The denoising loss of the base, and sampling for validation sheets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from covergen.diffusion.schedulers import make_scheduler

if TYPE_CHECKING:
    import numpy as np
    from diffusers import DDIMScheduler, UNet2DConditionModel
    from numpy.typing import NDArray
    from torch import Tensor


def denoising_loss(
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
    latents: Tensor,
    tokens: Tensor,
    *,
    times: Tensor | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """Return the v-prediction loss, (B,), without weighting of timesteps.

    High noise levels need their full weight because they decide the composition.
    latents: (B, C, h, w); tokens: (B, T, d). `times` and `noise` are drawn at random if None.
    """
    clean = latents.float().to(unet.device)
    if noise is None:
        noise = torch.randn_like(clean)
    if times is None:
        times = torch.randint(len(scheduler.alphas_cumprod), (len(clean),), device=unet.device)
    noisy = scheduler.add_noise(clean, noise, times)
    velocity = scheduler.get_velocity(clean, noise, times)
    noisy = noisy.contiguous(memory_format=torch.channels_last)
    predicted = unet(noisy, times, encoder_hidden_states=tokens).sample
    loss: Tensor = (predicted - velocity).square().mean((1, 2, 3))
    return loss


@torch.inference_mode()
def paint_latents(
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
    tokens: Tensor,
    unconditional: Tensor,
    *,
    guidance: float,
    steps: int,
    seed: int,
) -> Tensor:
    """Sample latents, (B, C, h, w), for tokens, (B, T, d), with classifier-free guidance."""
    solver: Any = make_scheduler("dpm++", scheduler.config, steps=steps)
    channels, side = unet.config.in_channels, unet.config.sample_size
    draw = torch.Generator().manual_seed(seed)
    latents = torch.randn(len(tokens), channels, side, side, generator=draw).to(unet.device)
    both = torch.cat([unconditional.expand_as(tokens), tokens])
    for timestep in solver.timesteps:
        uncond, cond = unet(torch.cat([latents] * 2), timestep, both).sample.chunk(2)
        latents = solver.step(uncond + guidance * (cond - uncond), timestep, latents).prev_sample
    return latents


def save_grid(path: Path, pictures: NDArray[np.uint8], columns: int, side: int = 192) -> None:
    """Save a contact sheet of pictures, row by row."""
    from PIL import Image

    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * side, rows * side))
    for number, picture in enumerate(pictures):
        small = Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(small, (number % columns * side, number // columns * side))
    sheet.save(path)
