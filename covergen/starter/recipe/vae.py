"""Train the autoencoder between crops of the painter's pictures and their latents.

Latents do not determine the exact position of an edge, so the pixel error alone is smallest for a
blurred edge. The decoder is therefore also trained to reproduce the distribution of colors and of
gradients in small windows, wherever in the window they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from covergen.starter.recipe.dataset import load_shards
from covergen.starter.recipe.models import load_exported, make_vae
from covergen.starter.recipe.patches import load_basis
from covergen.starter.recipe.training_loop import Stage, load_average, train

if TYPE_CHECKING:
    from diffusers import AutoencoderKL
    from numpy.typing import NDArray

    from covergen.starter.recipe.run_folder import RunFolder
    from covergen.starter.recipe.settings import VaeSettings


_LOG_VARIANCE = -12.0


def train_vae(run: RunFolder) -> bool:
    """Train the autoencoder. Return whether training is complete."""
    settings = run.recipe.vae
    torch.manual_seed(settings.optimization.seed)
    basis = load_basis(run)
    vae = make_vae(settings, len(basis.scale))
    if run.initial:
        load_exported(vae, run.initial / "base" / "vae")
    vae.to(run.device)
    pictures = load_shards(run, "train", "large")
    held_out = load_shards(run, "validation", "large")[0][:8]
    upscale = run.recipe.dataset.large_size // run.recipe.dataset.picture_size

    def losses(step: int) -> dict[str, Tensor]:
        _, side, batch = [c for c in settings.crops if c[0] <= step][-1]
        rng = np.random.default_rng([settings.optimization.seed, step])
        crops = _crops(pictures, side, batch, basis.side * upscale, rng)
        target = pixels_to_tensor(crops).to(run.device)
        latents = torch.from_numpy(basis.encode(_reduce(crops, upscale))).to(run.device)
        noise_std = settings.noise * torch.rand(batch, 1, 1, 1, device=run.device)
        noisy = latents + noise_std * torch.randn_like(latents)  # like painted ones
        if step >= settings.sharpen_from:
            return _sharp_losses(vae.decode(noisy).sample, target, settings, rng)
        encoded = vae.encode(target).latent_dist.mean
        latents_error = nn.functional.mse_loss(encoded, latents)
        pixels, edges = _differences(vae.decode(noisy).sample, target, settings.squares)
        return {"loss": pixels + edges + latents_error, "pixels": pixels, "latents": latents_error}

    def evaluate() -> dict[str, float]:
        target = pixels_to_tensor(held_out)
        decoder_input = torch.from_numpy(basis.encode(_reduce(held_out, upscale)))
        with torch.inference_mode():
            encoded = torch.cat([vae.encode(w).latent_dist.mean for w in _split(target, run)])
            reconstructed = torch.cat([vae.decode(g).sample.cpu() for g in _split(encoded, run)])
            painted = torch.cat([vae.decode(g).sample.cpu() for g in _split(decoder_input, run)])
        _save_sheet(stage.folder / "sheet.png", target, painted)
        return {
            "psnr_db": psnr_db(reconstructed, target),
            "decoder_psnr_db": psnr_db(painted, target),
        }

    stage = Stage(
        run=run,
        name="vae",
        model=vae,
        optimization=settings.optimization,
        losses=losses,
        evaluate=evaluate,
    )
    return train(stage)


def load_vae_average(run: RunFolder) -> AutoencoderKL:
    """Load the averaged autoencoder, frozen, with a negligible latent variance."""
    channels = run.recipe.latents.channels
    vae = make_vae(run.recipe.vae, channels)
    load_average(run.folder / "vae", vae)
    with torch.no_grad():
        vae.quant_conv.weight[channels:] = 0
        vae.quant_conv.bias[channels:] = _LOG_VARIANCE
    return vae.to(run.device).eval().requires_grad_(False)


def _reduce(pixels: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """Downsample (N, H, W, 3) uint8 pixels by block means, to (N, H / times, W / times, 3)."""
    count, height, width, _ = pixels.shape
    squares = pixels.reshape(count, height // times, times, width // times, times, 3)
    reduced: NDArray[np.uint8] = (squares.mean((2, 4), dtype=np.float32) + 0.5).astype(np.uint8)
    return reduced


def _split(tensor: Tensor, run: RunFolder) -> list[Tensor]:
    return [part.to(run.device) for part in torch.split(tensor, 2)]


def pixels_to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Convert (B, H, W, 3) uint8 pixels to (B, 3, H, W) in -1..1, channels last in memory."""
    tensor = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2)
    return tensor.float().div(127.5).sub(1)


def tensor_to_pixels(tensor: Tensor) -> NDArray[np.uint8]:
    """Convert (B, 3, H, W) in -1..1 to (B, H, W, 3) uint8 pixels."""
    levels = ((tensor.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def psnr_db(painted: Tensor, target: Tensor) -> float:
    """Return the mean peak signal-to-noise ratio of pictures; reconstructed arguments in -1..1."""
    errors = (painted.clamp(-1, 1) - target).square().mean((1, 2, 3))
    return float((10 * torch.log10(4 / errors)).mean())


def _crops(
    shards: list[NDArray[np.uint8]], side: int, batch: int, grid: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw crops, (batch, side, side, 3), aligned to the patch grid and randomly rotated."""
    crops = []
    for _ in range(batch):
        shard = shards[int(rng.integers(len(shards)))]
        picture = shard[int(rng.integers(len(shard)))]
        top, left = grid * rng.integers((picture.shape[0] - side) // grid + 1, size=2)
        crop = np.rot90(picture[top : top + side, left : left + side], int(rng.integers(4)))
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return np.stack(crops)


def _differences(painted: Tensor, target: Tensor, squares: float) -> tuple[Tensor, Tensor]:
    """Return the loss of pixels and colors, and that of edges at three scales."""
    error = painted - target
    # Color varies far less than lightness and would be learned much later.
    color = error - error.mean(1, keepdim=True)
    pixels = error.abs().mean() + squares * error.square().mean() + 2 * color.abs().mean()
    edges = error.new_zeros(())
    for scale in range(3):
        across = (error[..., 1:] - error[..., :-1]).abs().mean()
        down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        edges = edges + 0.5 * (across + down)
        error = nn.functional.avg_pool2d(error, 2) if scale < 2 else error
    return pixels, edges


def _sharp_losses(
    painted: Tensor, target: Tensor, settings: VaeSettings, rng: np.random.Generator
) -> dict[str, Tensor]:
    """Return the losses that sharpen: few of single pixels, mostly those of windows.

    Half of the steps cut the windows at random places, so that their borders leave no trace.
    """
    pixels, edges = _differences(painted, target, squares=0.0)
    if rng.random() < 0.5:
        top, left = rng.integers(1, settings.window, size=2)
        height, width = (length - settings.window for length in target.shape[-2:])
        painted, target = (
            t[..., top : top + height, left : left + width] for t in (painted, target)
        )
    colors = local_distance(painted, target, settings.window)
    gradients = local_distance(_gradients(painted), _gradients(target), settings.window)
    loss = settings.pixels * (pixels + 0.3 * edges) + colors + settings.gradients * gradients
    return {"loss": loss, "pixels": pixels, "colors": colors, "gradients": gradients}


def local_distance(first: Tensor, second: Tensor, side: int) -> Tensor:
    """Return the mean Wasserstein distance between the values of windows, for each channel.

    In one dimension it is the mean difference of the sorted values. first, second: (B, C, H, W),
    with H and W multiples of `side`.
    """
    ordered = [_windows(tensor, side).sort(-1).values for tensor in (first, second)]
    return (ordered[0] - ordered[1]).abs().mean()


def _windows(tensor: Tensor, side: int) -> Tensor:
    """Cut (B, C, H, W) into (B, C, H / side, W / side, side·side)."""
    return tensor.unfold(2, side, side).unfold(3, side, side).flatten(4)


def _gradients(pixels: Tensor) -> Tensor:
    """Return the differences of lightness to the next pixel, down and across: (B, 2, H, W)."""
    light = nn.functional.pad(pixels.mean(1, keepdim=True), (0, 1, 0, 1), mode="replicate")
    here = light[..., :-1, :-1]
    return torch.cat([light[..., 1:, :-1] - here, light[..., :-1, 1:] - here], dim=1)


def _save_sheet(path: Path, target: Tensor, painted: Tensor) -> None:
    from PIL import Image

    rows = [np.concatenate(list(tensor_to_pixels(t)), axis=1) for t in (target, painted)]
    Image.fromarray(np.concatenate(rows)).save(path)
