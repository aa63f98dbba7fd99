"""The autoencoder: crops of the painter's pictures to latents and back.

The decoder learns from a discriminator too (Esser et al. 2021, arXiv 2012.09841):
where the latents leave open where an edge runs, the error of the pixels alone is least when the
edge is blurred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from covergen.starter.recipe.models import make_discriminator, make_vae
from covergen.starter.recipe.patches import load_basis
from covergen.starter.recipe.stretch import Stage, load_average, train
from covergen.starter.recipe.world import load_shards

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import AutoencoderKL
    from numpy.typing import NDArray

    from covergen.starter.recipe.run import Run
    from covergen.starter.recipe.settings import VaeSettings

__all__ = ["load_vae_average", "pixels_to_tensor", "psnr_db", "tensor_to_pixels", "train_vae"]

_LOG_VARIANCE = -12.0


class _AdversarialVae(nn.Module):
    """The autoencoder and its discriminator, trained together."""

    def __init__(self, settings: VaeSettings, latent_channels: int) -> None:
        super().__init__()
        self.vae = make_vae(settings, latent_channels)
        self.discriminator = make_discriminator(settings)

    def generator_loss(self, painted: Tensor) -> Tensor:
        """For the decoder: how well its pictures are told from real ones."""
        frozen = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        scores: Tensor = torch.func.functional_call(self.discriminator, frozen, (painted,))
        return -scores.mean()

    def discriminator_loss(self, painted: Tensor, wanted: Tensor) -> Tensor:
        """The hinge loss (Lim & Ye 2017, arXiv 1705.02894)."""
        real, fake = self.discriminator(wanted), self.discriminator(painted.detach())
        loss: Tensor = nn.functional.relu(1 - real).mean() + nn.functional.relu(1 + fake).mean()
        return loss


def train_vae(run: Run) -> bool:
    """Train the autoencoder; whether all steps are done."""
    settings = run.recipe.vae
    torch.manual_seed(settings.optimisation.seed)
    basis = load_basis(run)
    model = _AdversarialVae(settings, len(basis.scale)).to(run.device)
    vae = model.vae
    pictures = load_shards(run, "train", "large")
    held_out = load_shards(run, "validation", "large")[0][:8]
    finer = run.recipe.world.large_size // run.recipe.world.picture_size

    def losses(step: int) -> dict[str, Tensor]:
        _, side, batch = [c for c in settings.crops if c[0] <= step][-1]
        rng = np.random.default_rng([settings.optimisation.seed, step])
        crops = _crops(pictures, side, batch, basis.side * finer, rng)
        wanted = pixels_to_tensor(crops).to(run.device)
        latents = torch.from_numpy(basis.encode(_reduce(crops, finer))).to(run.device)
        encoded = vae.encode(wanted).latent_dist.mean
        latents_error = nn.functional.mse_loss(encoded, latents)
        # The decoder will be given what the base paints, and in training what the encoder finds.
        off = settings.noise * torch.rand(batch, 1, 1, 1, device=run.device)
        own = (torch.arange(batch, device=run.device) + step) % 2 == 0
        noisy = latents + off * torch.randn_like(latents)
        given = torch.where(own[:, None, None, None], encoded.detach(), noisy)
        painted = vae.decode(given).sample
        pixels, edges = _differences(painted, wanted, settings.squares)
        found = {"pixels": pixels, "latents": latents_error}
        loss = pixels + edges + latents_error
        if step >= settings.adversarial_from:
            found |= {
                "generator": model.generator_loss(painted),
                "discriminator": model.discriminator_loss(painted, wanted),
            }
            loss = loss + settings.adversarial * found["generator"] + found["discriminator"]
        return {"loss": loss, **found}

    def judge() -> dict[str, float]:
        wanted = pixels_to_tensor(held_out)
        given = torch.from_numpy(basis.encode(_reduce(held_out, finer)))
        with torch.inference_mode():
            encoded = torch.cat([vae.encode(w).latent_dist.mean for w in _split(wanted, run)])
            both = torch.cat([vae.decode(g).sample.cpu() for g in _split(encoded, run)])
            painted = torch.cat([vae.decode(g).sample.cpu() for g in _split(given, run)])
        _save_sheet(stage.folder / "sheet.png", wanted, painted)
        return {
            "psnr_db": psnr_db(both, wanted),
            "decoder_psnr_db": psnr_db(painted, wanted),
        }

    stage = Stage(
        run=run,
        name="vae",
        model=model,
        optimisation=settings.optimisation,
        losses=losses,
        judge=judge,
    )
    return train(stage)


def load_vae_average(run: Run) -> AutoencoderKL:
    """The averaged autoencoder, frozen, and all but certain of its latents."""
    channels = run.recipe.latents.channels
    model = _AdversarialVae(run.recipe.vae, channels)
    load_average(run.folder / "vae", model)
    vae = model.vae
    with torch.no_grad():
        vae.quant_conv.weight[channels:] = 0
        vae.quant_conv.bias[channels:] = _LOG_VARIANCE
    return vae.to(run.device).eval().requires_grad_(False)


def _reduce(pixels: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """(N, H, W, 3) levels to (N, H / times, W / times, 3): the means of squares."""
    count, height, width, _ = pixels.shape
    squares = pixels.reshape(count, height // times, times, width // times, times, 3)
    reduced: NDArray[np.uint8] = (squares.mean((2, 4), dtype=np.float32) + 0.5).astype(np.uint8)
    return reduced


def _split(tensor: Tensor, run: Run) -> list[Tensor]:
    return [part.to(run.device) for part in torch.split(tensor, 2)]


def pixels_to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """(B, H, W, 3) levels to (B, 3, H, W) in -1..1, channels last in memory."""
    tensor = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2)
    return tensor.float().div(127.5).sub(1)


def tensor_to_pixels(tensor: Tensor) -> NDArray[np.uint8]:
    """The way back."""
    levels = ((tensor.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def psnr_db(painted: Tensor, wanted: Tensor) -> float:
    """The mean over pictures of the peak signal-to-noise ratio; both in -1..1."""
    errors = (painted.clamp(-1, 1) - wanted).square().mean((1, 2, 3))
    return float((10 * torch.log10(4 / errors)).mean())


def _crops(
    shards: list[NDArray[np.uint8]], side: int, batch: int, grid: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(batch, side, side, 3), begun on the grid of patches, each turned or mirrored by chance."""
    crops = []
    for _ in range(batch):
        shard = shards[int(rng.integers(len(shards)))]
        picture = shard[int(rng.integers(len(shard)))]
        top, left = grid * rng.integers((picture.shape[0] - side) // grid + 1, size=2)
        crop = np.rot90(picture[top : top + side, left : left + side], int(rng.integers(4)))
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return np.stack(crops)


def _differences(painted: Tensor, wanted: Tensor, squares: float) -> tuple[Tensor, Tensor]:
    """Of the pixels and their colours, and of the edges between neighbours at three scales."""
    error = painted - wanted
    # Colours vary far less than light, and would be learned long after it.
    color = error - error.mean(1, keepdim=True)
    pixels = error.abs().mean() + squares * error.square().mean() + 2 * color.abs().mean()
    edges = error.new_zeros(())
    for scale in range(3):
        across = (error[..., 1:] - error[..., :-1]).abs().mean()
        down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        edges = edges + 0.5 * (across + down)
        error = nn.functional.avg_pool2d(error, 2) if scale < 2 else error
    return pixels, edges


def _save_sheet(path: Path, wanted: Tensor, painted: Tensor) -> None:
    from PIL import Image

    rows = [np.concatenate(list(tensor_to_pixels(t)), axis=1) for t in (wanted, painted)]
    Image.fromarray(np.concatenate(rows)).save(path)
