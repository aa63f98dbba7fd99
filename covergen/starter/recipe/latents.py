"""The training pictures as latents, encoded once by an autoencoder that is then left as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from covergen.starter.recipe.models import make_vae
from covergen.starter.recipe.stretch import load_average
from covergen.starter.recipe.vae import pixels_to_tensor
from covergen.starter.recipe.world import load_shards

if TYPE_CHECKING:
    from diffusers import AutoencoderKL
    from numpy.typing import NDArray
    from torch import Tensor

    from covergen.starter.recipe.run import Run

__all__ = ["encode_pictures", "load_frozen_vae", "load_latents"]

_MEASURED = 128  # pictures, for the mean and deviation of each channel


def encode_pictures(run: Run) -> bool:
    """Freeze the autoencoder in latents/ and encode what is missing; whether all is done."""
    folder = run.folder / "latents"
    folder.mkdir(parents=True, exist_ok=True)
    shards = load_shards(run, "train", "pictures")
    if not (folder / "vae.safetensors").exists():
        vae = make_vae(run.recipe.vae)
        load_average(run.folder / "vae", vae)
        some = np.concatenate([s[:8] for s in shards[:: max(1, 8 * len(shards) // _MEASURED)]])
        _standardise(vae, _encode(vae, some)[0])
        save_file(_contiguous(vae), folder / "vae.safetensors")
    vae = load_frozen_vae(run)
    for number, pictures in enumerate(shards):
        path = folder / f"{number:04d}.npy"
        if path.exists():
            continue
        if run.late():
            return False
        both = torch.stack(_encode(vae, pictures), dim=1)
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as file:
            np.save(file, both.half().numpy())
        temporary.replace(path)
    return len(shards) * run.recipe.world.shard >= run.recipe.world.pictures


def load_frozen_vae(run: Run) -> AutoencoderKL:
    """The autoencoder whose latents have mean 0 and deviation 1 in every channel."""
    vae = make_vae(run.recipe.vae)
    vae.load_state_dict(load_file(run.folder / "latents" / "vae.safetensors"))
    return vae.to(run.device).eval().requires_grad_(False)


def load_latents(run: Run) -> Tensor:
    """(N, 2, C, h, w) float16: the means and deviations of the pictures' latents."""
    paths = sorted((run.folder / "latents").glob("*.npy"))
    return torch.from_numpy(np.concatenate([np.load(path) for path in paths]))


@torch.inference_mode()
def _encode(vae: AutoencoderKL, pictures: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Means and deviations, (N, C, h, w) each."""
    parts = torch.split(pixels_to_tensor(pictures), 4)
    found = [vae.encode(part.to(vae.device)).latent_dist for part in parts]
    return torch.cat([d.mean for d in found]).cpu(), torch.cat([d.std for d in found]).cpu()


@torch.no_grad()
def _standardise(vae: AutoencoderKL, means: Tensor) -> None:
    """Fold each channel's mean and deviation into the 1 by 1 convolutions around the latents.

    The autoencoder stays the same function, and needs no scaling factor.
    """
    mean, deviation = means.mean((0, 2, 3)), means.std((0, 2, 3))
    channels = len(mean)
    into, out = vae.quant_conv, vae.post_quant_conv
    into.weight[:channels] /= deviation[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - mean) / deviation
    into.bias[channels:] -= 2 * deviation.log()
    out.bias += out.weight[..., 0, 0] @ mean
    out.weight *= deviation[None, :, None, None]


def _contiguous(model: AutoencoderKL) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
