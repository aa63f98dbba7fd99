"""The state of a training, which its stages share."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from covergen.core.cover import Sampling
from covergen.training.data.examples import Pairs
from covergen.training.events import LOSSES_TOGETHER, Emit
from covergen.training.frozen_base import Frozen
from covergen.training.micro_batch import MicroBatch
from covergen.training.recipe import Recipe
from covergen.training.trainable_weights import Learner


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterNames:
    """The adapter's title and the names of what it is trained with, for the file's metadata.

    `clap_mark` is the fingerprint of CLAP's folder. `loras` and `vae` are those of the model, ""
    for none and for the base's own.
    """

    title: str
    base: str
    clap: str
    clap_mark: str = ""
    loras: str = ""
    vae: str = ""

    @property
    def extras(self) -> dict[str, str]:
        """The names of the LoRAs and of the VAE, if there are any."""
        named = {"loras": self.loras, "vae": self.vae}
        return {kind: name for kind, name in named.items() if name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The adapter with the lowest validation loss so far."""

    path: Path
    step: int
    loss: float


@dataclass(slots=True, kw_only=True)
class Progress:
    """The training time so far, the losses of the last steps, and the best adapter, if any."""

    seconds: float = 0.0
    best: Best | None = None
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=LOSSES_TOGETHER))
    lap_start: float = field(default_factory=time.monotonic)

    def lap(self) -> float:
        """Add the seconds since the last lap to the total, and return them."""
        now = time.monotonic()
        elapsed, self.lap_start = now - self.lap_start, now
        self.seconds += elapsed
        return elapsed


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """The state of a training.

    `training` and `validation` are indices into `pairs`. `latent_shape`: (C, h, w). `metadata`
    identifies the training in its checkpoints. `captions` are the encoded captions of the pairs.
    `check_interrupted` raises Interrupted to stop it.
    """

    output: Path
    names: AdapterNames
    recipe: Recipe
    frozen: Frozen
    learner: Learner
    pairs: Pairs
    training: NDArray[np.intp]
    validation: NDArray[np.intp]
    latent_shape: Sequence[int]
    sampling: Sampling
    progress: Progress
    micro_batch: MicroBatch
    metadata: Mapping[str, Any]
    captions: Mapping[str, Tensor]
    emit: Emit
    check_interrupted: Callable[[], None]

    @property
    def device(self) -> torch.device:
        """The device that trains."""
        return self.frozen.device

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.output / "checkpoints"
