"""How much room a training takes on the disk."""

import math

import torch

from covergen.diffusion.adapter import create
from covergen.diffusion.base_config import BaseConfig, empty_unet
from covergen.diffusion.lora import lora_tensors
from covergen.training.recipe import Recipe

__all__ = ["disk_bytes"]

_MANY_TOKENS = 8
_NUMBER_BYTES = 4
_LATENT_BYTES = 2


def disk_bytes(config: BaseConfig, recipe: Recipe, *, d_audio: int, pairs: int, steps: int) -> int:
    """About what a training writes: its adapter and checkpoints, and the latents in the cache."""
    unet = empty_unet(config)
    with torch.device("meta"):
        projection = create(
            unet,
            d_audio=d_audio,
            rank=recipe.rank,
            alpha=recipe.rank,
            projection=recipe.projection,
            tokens=1 if recipe.projection == "linear" else recipe.tokens or _MANY_TOKENS,
        )
    trained = (*lora_tensors(unet).values(), *projection.parameters())
    adapter = _NUMBER_BYTES * sum(tensor.numel() for tensor in trained)
    # Beside each adapter: the weights as they are, two moments, and where there is one, the mean.
    checkpoint = adapter * (4 + (recipe.ema is not None))
    unit = recipe.steps_per_epoch(pairs) if recipe.checkpoint_unit == "epochs" else 1
    made = math.ceil(steps / (recipe.checkpoint_every * unit))
    kept = min(made, recipe.keep_checkpoints or made)
    return adapter + kept * checkpoint + (pairs * _latent_bytes(config, recipe))


def _latent_bytes(config: BaseConfig, recipe: Recipe) -> int:
    """Of one picture: a mean and a deviation for each number of its latent."""
    if not recipe.cached:
        return 0
    channels, height, width = config.latent_shape
    if recipe.resolution is not None:
        side = recipe.resolution * height // config.picture_size[0]
        height = width = side
    return _LATENT_BYTES * 2 * channels * height * width
