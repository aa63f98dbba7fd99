"""How much room a training takes on the disk."""

import math

from covergen.diffusion.adapter import adapter_shapes
from covergen.diffusion.base_config import BaseConfig
from covergen.training.pictures import VIEWS
from covergen.training.recipe import Recipe

__all__ = ["disk_bytes"]

_PROMPT_LENGTH = 77  # CLIP's
_NUMBER_BYTES = 4
_LATENT_BYTES = 2


def disk_bytes(config: BaseConfig, recipe: Recipe, *, d_audio: int, pairs: int, steps: int) -> int:
    """About what a training writes: its adapter and checkpoints, and the latents in the cache."""
    shapes = adapter_shapes(
        config,
        d_audio=d_audio,
        rank=recipe.rank,
        projection=recipe.projection,
        tokens=recipe.count_tokens(_PROMPT_LENGTH),
    )
    adapter = _NUMBER_BYTES * sum(map(math.prod, shapes.values()))
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
    views = VIEWS if recipe.crop == "random" else 1
    return _LATENT_BYTES * 2 * channels * height * width * views
