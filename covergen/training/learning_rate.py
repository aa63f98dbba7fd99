"""The schedule of the learning rate: warm-up, then decay."""

import math

from covergen.training.recipe import Recipe


def learning_rate(recipe: Recipe, step: int, steps: int, *, peak: float | None = None) -> float:
    """The learning rate after `step` of `steps`: linear warm-up, then cosine decay to 0.

    `peak`: its maximum, None for the recipe's `learning_rate`.
    """
    peak = recipe.learning_rate if peak is None else peak
    warm_up = min(recipe.warm_up_steps, steps // 10)
    if step < warm_up:
        return peak * (step + 1) / warm_up
    done = (step - warm_up) / (steps - warm_up)
    return peak * (1 + math.cos(math.pi * done)) / 2
