"""Measure the autoencoder's reconstruction of the painter's pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from covergen.poster.attributes import draw_attributes
from covergen.poster.painter import paint
from covergen.starter.evaluation.pictures import Pictures, measure
from covergen.starter.recipe.settings import DatasetSettings
from covergen.starter.recipe.vae import pixels_to_tensor, psnr_db, tensor_to_pixels

if TYPE_CHECKING:
    from diffusers import AutoencoderKL
    from numpy.typing import NDArray


_SEED, _COUNT = 3, 128


def reconstruct(vae: AutoencoderKL, path: Path) -> tuple[float, Pictures]:
    """Reconstruct 128 pictures without grain. Return their mean PSNR in dB and the results.

    Cached in `path`.
    """
    if path.exists():
        with np.load(path) as saved:
            return float(saved["psnr_db"]), Pictures(
                saved["features"], saved["sharpness"], saved["thumbs"]
            )
    decibels: list[float] = []
    rebuilt = measure(_pictures(vae, decibels))
    mean = float(np.mean(decibels))
    np.savez(
        path,
        psnr_db=mean,
        features=rebuilt.features,
        sharpness=rebuilt.sharpness,
        thumbs=rebuilt.thumbs,
    )
    return mean, rebuilt


@torch.inference_mode()
def _pictures(vae: AutoencoderKL, decibels: list[float]) -> Iterator[NDArray[np.uint8]]:
    families = DatasetSettings().families
    for item in range(_COUNT):
        rng = np.random.default_rng([_SEED, item])
        family = families[item % len(families)]
        pixels = paint(draw_attributes(rng), rng, style=family, grain=False).pixels
        target = pixels_to_tensor(pixels[None]).to(vae.dtype)
        painted = vae.decode(vae.encode(target).latent_dist.mode()).sample
        decibels.append(psnr_db(painted.float(), target.float()))
        yield tensor_to_pixels(painted.float())[0]
