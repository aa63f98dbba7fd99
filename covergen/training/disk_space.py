"""Estimate the disk space that a training needs."""

import math

from covergen.diffusion.adapter import adapter_shapes
from covergen.diffusion.base_config import BaseConfig
from covergen.training.data.picture_views import VIEWS
from covergen.training.recipe import Recipe

_PROMPT_LENGTH = 77  # of CLIP
_FLOAT32_BYTES = 4
_FLOAT16_BYTES = 2


def disk_bytes(
    config: BaseConfig,
    recipe: Recipe,
    *,
    d_audio: int,
    pairs: int,
    validation_pairs: int,
    steps: int,
) -> int:
    """Estimate the size of the adapters, the checkpoints and the cached latents."""
    shapes = adapter_shapes(
        config,
        d_audio=d_audio,
        rank=recipe.rank,
        projection=recipe.projection,
        tokens=recipe.count_tokens(_PROMPT_LENGTH),
    )
    adapter = _FLOAT32_BYTES * sum(map(math.prod, shapes.values()))
    # An adapter, the raw weights, two optimizer moments and, if enabled, the moving average.
    checkpoint = adapter * (4 + (recipe.ema is not None))
    unit = recipe.steps_per_epoch(pairs) if recipe.checkpoint_unit == "epochs" else 1
    saved = math.ceil(steps / (recipe.checkpoint_every * unit))
    kept = min(saved, recipe.keep_checkpoints or saved)
    adapters = adapter * (1 + (validation_pairs > 0))  # the last one and the best-validated
    return adapters + kept * checkpoint + (pairs * _latent_bytes(config, recipe))


def _latent_bytes(config: BaseConfig, recipe: Recipe) -> int:
    """The size of one picture's cached latents: a mean and a standard deviation per element."""
    if not recipe.cached:
        return 0
    channels, height, width = config.latent_shape
    if recipe.resolution is not None:
        side = recipe.resolution * height // config.picture_size[0]
        height = width = side
    views = (VIEWS if recipe.crop == "random" else 1) * (1 + recipe.flip)
    return _FLOAT16_BYTES * 2 * channels * height * width * views
