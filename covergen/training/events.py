"""What a training tells while it works. All but the first also stand in its log."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

__all__ = [
    "LOSSES_TOGETHER",
    "CheckpointDamaged",
    "Emit",
    "Event",
    "PairLeftOut",
    "PictureEncoded",
    "Sampled",
    "Saved",
    "StepDone",
    "TrainingBegun",
    "Validated",
]

LOSSES_TOGETHER = 50
"""The loss of a training is the mean of so many last steps: that of one says little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureEncoded:
    """The latents of so many of `pictures` are there."""

    done: int
    pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLeftOut:
    """A pair that cannot be trained on."""

    stem: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointDamaged:
    """A checkpoint that is not whole; the one before it is tried."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingBegun:
    """The first step after `step`, of `steps`, is about to be made; `step` is 0 but for a resume.

    `device` is the hardware's name, `precision` what the recipe's came to: bf16, fp16 or fp32.
    """

    step: int
    steps: int
    pairs: int
    validation_pairs: int
    trainable: int
    device: str
    precision: str
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """One step of `steps`. `rate` is the learning rate; `seconds` have been trained in all."""

    step: int
    steps: int
    loss: float
    rate: float
    samples_per_second: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """The mean loss of the pairs that are held back, with the weights that would be saved."""

    step: int
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """A sheet of covers was painted: always the same tracks from the same noise."""

    step: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A checkpoint was written; `path` is its adapter."""

    step: int
    path: Path


Event: TypeAlias = (
    PictureEncoded
    | PairLeftOut
    | CheckpointDamaged
    | TrainingBegun
    | StepDone
    | Validated
    | Sampled
    | Saved
)
Emit: TypeAlias = Callable[[Event], None]
