"""Training recipes: the hyperparameters, and the two named recipes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from covergen.core.errors import UsageError

_MAX_TOKENS = 8

Crop = Literal["stretch", "center", "random"]
Optimizer = Literal["adamw", "adamw8bit"]
Precision = Literal["auto", "bf16", "fp16", "fp32"]
_Limit: TypeAlias = tuple[Callable[[float], bool], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The settings of a training. Random numbers depend only on `seed` and the pairs.

    `tokens`: the length of the projection "tokens"; None to let `count_tokens` choose. `rank` is
    also the LoRA's alpha. `condition_dropout`: the share of pairs whose condition is replaced with
    the empty prompt that guidance will use, encoded with its attention mask if `empty_prompt` is
    "masked". `min_snr_gamma`: None for unweighted losses. `ema`: the decay of the weights' moving
    average, which is saved in place of the weights; None for no average.

    `crop`: "stretch" to the size, crop at the "center", or crop at one of a few "random" positions
    along the longer side. `flip`: mirror half of the pictures. `resolution`: side in pixels, None
    for the base's own size. `cached`: encode each picture once and cache the mean and standard
    deviation of its latents.

    A step uses `accumulation` batches of `batch_size` pairs, summed over all processes; the last
    step of an epoch uses the remaining pairs. A batch is computed in parts if it does not fit in
    memory. `gradient_checkpointing`: recompute activations instead of keeping them; None to do so
    only if memory is short. `max_steps` overrides `epochs`.

    `projection_lr`: the projection's learning rate, None for `learning_rate`, which is the LoRA's.
    Both warm up over `warm_up_steps`, at most a tenth of all steps, then decay to 0 along a cosine.
    `lora_dropout`: the share of the LoRA's inputs that are set to 0. `optimizer`: AdamW
    (Loshchilov & Hutter 2019, arXiv 1711.05101), or with 8-bit moments (Dettmers et al. 2022,
    arXiv 2110.02861).

    `checkpoint_every` counts `checkpoint_unit`; the last `keep_checkpoints` are kept, or all if
    None. `validation`: the share of albums held out; their loss is computed every `validate_every`
    steps and sample covers are painted every `sample_every` steps, or never if None. `precision`
    "auto" is bf16 on GPUs that support it, fp16 on others and fp32 on the CPU.

    Raises UsageError, listing all invalid settings.
    """

    projection: Literal["linear", "tokens"] = "tokens"
    tokens: int | None = None
    empty_prompt: Literal["masked", "plain"] = "plain"
    rank: int = 4
    lora_dropout: float = 0.0
    condition_dropout: float = 0.1
    min_snr_gamma: float | None = 5.0
    crop: Crop = "center"
    flip: bool = False
    ema: float | None = 0.999
    optimizer: Optimizer = "adamw"
    learning_rate: float = 1e-4
    projection_lr: float | None = None
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
    gradient_checkpointing: bool | None = None
    precision: Precision = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        problems = [
            f"{name} = {getattr(self, name)}: expected {accepted}"
            for name, (is_valid, accepted) in _LIMITS.items()
            if getattr(self, name) is not None and not is_valid(getattr(self, name))
        ]
        if self.projection == "linear" and self.tokens not in (None, 1):
            problems.append(f"tokens = {self.tokens}: the linear projection has one token")
        if problems:
            raise UsageError("\n".join(["Invalid training settings:", *problems]))

    def steps(self, pairs: int) -> int:
        """The number of steps for `pairs` training pairs."""
        return self.max_steps or self.epochs * self.steps_per_epoch(pairs)

    def steps_per_epoch(self, pairs: int) -> int:
        """The number of steps in which every pair is used once."""
        return math.ceil(pairs / (self.batch_size * self.accumulation))

    def count_tokens(self, prompt: int) -> int:
        """The projection's tokens for a base whose prompt has `prompt` positions.

        Unless the recipe sets a number, it is the largest divisor of `prompt` up to 8, so that
        repeated tokens fill the prompt and no position needs a mask.
        """
        if self.projection == "linear":
            return 1
        return self.tokens or max(n for n in range(1, _MAX_TOKENS + 1) if prompt % n == 0)


_POSITIVE: _Limit = (lambda value: value > 0 and math.isfinite(value), "more than 0")
_AT_LEAST_1: _Limit = (lambda value: value >= 1, "at least 1")
_AT_LEAST_0: _Limit = (lambda value: 0 <= value < math.inf, "at least 0")
_SHARE: _Limit = (lambda value: 0 <= value < 1, "at least 0 and less than 1")

_LIMITS: Mapping[str, _Limit] = MappingProxyType(
    {
        "tokens": _AT_LEAST_1,
        "rank": _AT_LEAST_1,
        "lora_dropout": _SHARE,
        "condition_dropout": _SHARE,
        "min_snr_gamma": _POSITIVE,
        "ema": _SHARE,
        "learning_rate": _POSITIVE,
        "projection_lr": _POSITIVE,
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
        "seed": (lambda value: 0 <= value < 2**63, "at least 0 and less than 2^63"),
    }
)


# The settings of art-from-audio's train_lora_diffusion.py.
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
