"""Events that a training emits. All but `PictureEncoded` are also written to its log."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

LOSSES_TOGETHER = 50
"""A reported loss is the mean over this many steps, since single steps are noisy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureEncoded:
    """`done` of `pictures` have been encoded to latents."""

    done: int
    pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLeftOut:
    """A pair that cannot be used for training."""

    stem: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointDamaged:
    """A damaged checkpoint; the one before it is tried next."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingBegun:
    """Training starts after `step` of `steps`; `step` is 0 unless it was resumed.

    `trainable` counts parameters. `device` is the hardware's name. `precision` is bf16, fp16 or
    fp32, resolved from the recipe. `micro_batch`: how many of a step's pairs are computed together,
    0 if the log does not tell.
    """

    step: int
    steps: int
    pairs: int
    validation_pairs: int
    trainable: int
    device: str
    precision: str
    processes: int
    micro_batch: int = 0
    gradient_checkpointing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatchReduced:
    """The step after `step` ran out of memory, and is computed again with fewer pairs at once."""

    step: int
    micro_batch: int
    gradient_checkpointing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """One of `steps` is done. `rate`: learning rate. `seconds`: training time so far."""

    step: int
    steps: int
    loss: float
    rate: float
    samples_per_second: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """The mean loss on the validation pairs, with the weights that would be saved.

    `best`: it is the lowest so far, and the adapter was saved as the best one.
    """

    step: int
    loss: float
    best: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """A sheet of sample covers was painted, always of the same tracks from the same noise."""

    step: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A checkpoint was saved; `path` is its adapter."""

    step: int
    path: Path


Event: TypeAlias = (
    PictureEncoded
    | PairLeftOut
    | CheckpointDamaged
    | TrainingBegun
    | MicroBatchReduced
    | StepDone
    | Validated
    | Sampled
    | Saved
)
Emit: TypeAlias = Callable[[Event], None]
