"""How an adapter is trained: every number of it, and the two recipes that have a name."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from covergen.core.errors import UsageError

__all__ = ["RECIPES", "Crop", "Precision", "Recipe", "learning_rate"]

_MOST_TOKENS = 8

Crop = Literal["stretch", "center", "random"]
Precision = Literal["auto", "bf16", "fp16", "fp32"]
_Limit: TypeAlias = tuple[Callable[[float], bool], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The settings of a training. What is drawn depends on `seed` and the pairs alone.

    `tokens`: of the projection "tokens"; None for what `count_tokens` finds. `rank` is also the
    LoRA's alpha. `condition_dropout`: the share of pairs whose sound is replaced by the empty
    prompt, as guidance will use it: encoded with its attention mask where `empty_prompt` is
    "masked". `min_snr_gamma`: of min-SNR weights, None for none. `ema`: decay of the weights'
    moving average, which is then what is saved; None for the weights.

    `crop`: "stretch" to the size, "center" of the picture, or "random", one of a few places along
    its longer side. `resolution`: side in pixels, None for the base's own size. `cached`: every
    picture's latents are encoded once, as the mean and deviation of their distribution.

    A step takes `batch_size` pairs, all processes together, `accumulation` times; the last one of
    an epoch takes what is left. `max_steps` holds in place of `epochs`. The rate rises over
    `warm_up_steps`, at most a tenth of all, then falls to 0 as a cosine.

    `checkpoint_every` counts `checkpoint_unit`; the last `keep_checkpoints` are kept, all with
    None. `validation`: the share of pairs held back, whole albums each; their loss is taken every
    `validate_every` steps, and covers are painted every `sample_every`, never with None.
    `precision` "auto" is bf16 where a GPU has it, fp16 on others, fp32 on a CPU.

    Raises UsageError, with all that is wrong.
    """

    projection: Literal["linear", "tokens"] = "tokens"
    tokens: int | None = None
    empty_prompt: Literal["masked", "plain"] = "plain"
    rank: int = 4
    condition_dropout: float = 0.1
    min_snr_gamma: float | None = 5.0
    crop: Crop = "center"
    ema: float | None = 0.999
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    batch_size: int = 16
    accumulation: int = 1
    epochs: int = 30
    max_steps: int | None = None
    resolution: int | None = None
    warm_up_steps: int = 100
    clip: float = 1.0
    checkpoint_every: int = 250
    checkpoint_unit: Literal["steps", "epochs"] = "steps"
    keep_checkpoints: int | None = 3
    validation: float = 0.05
    validate_every: int | None = 250
    sample_every: int | None = 500
    cached: bool = True
    gradient_checkpointing: bool = False
    precision: Precision = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        problems = [
            f"{name} = {getattr(self, name)}: {accepted}"
            for name, (holds, accepted) in _LIMITS.items()
            if getattr(self, name) is not None and not holds(getattr(self, name))
        ]
        if self.projection == "linear" and self.tokens not in (None, 1):
            problems.append(f"tokens = {self.tokens}: the projection linear has one")
        if problems:
            raise UsageError("\n".join(["The training's settings cannot be:", *problems]))

    def steps(self, pairs: int) -> int:
        """How many steps are made with so many pairs."""
        return self.max_steps or self.epochs * self.steps_per_epoch(pairs)

    def steps_per_epoch(self, pairs: int) -> int:
        """How many steps it takes to see every pair once."""
        return math.ceil(pairs / (self.batch_size * self.accumulation))

    def count_tokens(self, prompt: int) -> int:
        """The projection's tokens for a base whose prompt has so many positions.

        Unless the recipe says how many: as many, up to 8, as fill the prompt by whole repeats, so
        that no position must be masked.
        """
        if self.projection == "linear":
            return 1
        return self.tokens or max(n for n in range(1, _MOST_TOKENS + 1) if prompt % n == 0)


_POSITIVE: _Limit = (lambda value: value > 0 and math.isfinite(value), "more than 0")
_AT_LEAST_1: _Limit = (lambda value: value >= 1, "1 or more")
_AT_LEAST_0: _Limit = (lambda value: 0 <= value < math.inf, "0 or more")
_SHARE: _Limit = (lambda value: 0 <= value < 1, "0 or more, and less than 1")

_LIMITS: Mapping[str, _Limit] = MappingProxyType(
    {
        "tokens": _AT_LEAST_1,
        "rank": _AT_LEAST_1,
        "condition_dropout": _SHARE,
        "min_snr_gamma": _POSITIVE,
        "ema": _SHARE,
        "learning_rate": _POSITIVE,
        "weight_decay": _AT_LEAST_0,
        "batch_size": _AT_LEAST_1,
        "accumulation": _AT_LEAST_1,
        "epochs": _AT_LEAST_1,
        "max_steps": _AT_LEAST_1,
        "resolution": _AT_LEAST_1,
        "warm_up_steps": _AT_LEAST_0,
        "clip": _POSITIVE,
        "checkpoint_every": _AT_LEAST_1,
        "keep_checkpoints": _AT_LEAST_1,
        "validation": _SHARE,
        "validate_every": _AT_LEAST_1,
        "sample_every": _AT_LEAST_1,
        "seed": (lambda value: 0 <= value < 2**63, "0 or more, and less than 2^63"),
    }
)


# As art-from-audio's train_lora_diffusion.py has it.
_REFERENCE = Recipe(
    projection="linear",
    tokens=1,
    empty_prompt="masked",
    rank=4,
    condition_dropout=0.0,
    min_snr_gamma=None,
    crop="stretch",
    ema=None,
    learning_rate=1e-4,
    weight_decay=0.01,
    batch_size=32,
    accumulation=1,
    epochs=30,
    resolution=512,
    warm_up_steps=0,
    clip=1.0,
    checkpoint_every=10,
    checkpoint_unit="epochs",
    keep_checkpoints=None,
    validation=0.0,
    validate_every=None,
    sample_every=None,
    cached=False,
)

RECIPES: Mapping[str, Recipe] = MappingProxyType({"default": Recipe(), "reference": _REFERENCE})


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate of the step after `step` others: a straight rise, then half a cosine down to 0."""
    rising = min(recipe.warm_up_steps, steps // 10)
    if step < rising:
        return recipe.learning_rate * (step + 1) / rising
    done = (step - rising) / (steps - rising)
    return recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2
