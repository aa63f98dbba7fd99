"""A wrapper around `train` with a small base and a short recipe."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch

from covergen.core.cover import Sampling
from covergen.core.errors import Interrupted
from covergen.diffusion.extra_lora import ExtraLora
from covergen.training.data.examples import Example, Pairs
from covergen.training.events import Event, StepDone
from covergen.training.recipe import RECIPES, Recipe
from covergen.training.train_adapter import Trained, train
from covergen.training.training_run import AdapterNames

SAMPLING = Sampling(steps=2, guidance=3.0, scheduler="dpm++")
QUICK = replace(
    RECIPES["default"],
    max_steps=4,
    batch_size=3,
    warm_up_steps=2,
    learning_rate=1e-2,
    validation=0.0,
    validate_every=None,
    sample_every=None,
    checkpoint_every=2,
)
NAMES = AdapterNames(title="Mine", base="tiny/base", clap="tiny/clap")


class Killed(BaseException):
    """Stands for SIGKILL: nothing handles it."""


@dataclass(slots=True)
class Trainer:
    """Trains on one base into one folder, and collects the events of all its trainings."""

    base: Path
    output: Path
    recipe: Recipe = QUICK
    loras: Sequence[ExtraLora] = ()
    vae: Path | None = None
    events: list[Event] = field(default_factory=list)

    def __call__(
        self,
        examples: Sequence[Example] | Pairs,
        *,
        kill_after: int | None = None,
        check_interrupted: Callable[[], None] = lambda: None,
        resume: bool = False,
        strict: bool = False,
        **changes: Any,
    ) -> Trained:
        def emit(event: Event) -> None:
            self.events.append(event)
            if isinstance(event, StepDone) and event.step == kill_after:
                raise Killed

        return train(
            self.base,
            examples,
            replace(self.recipe, **changes),
            self.output,
            names=NAMES,
            device=torch.device("cpu"),
            emit=emit,
            check_interrupted=check_interrupted,
            resume=resume,
            strict=strict,
            sampling=SAMPLING,
            loras=self.loras,
            vae=self.vae,
        )

    def copy(self, output: Path) -> Self:
        shutil.copytree(self.output, output)
        return type(self)(self.base, output, self.recipe)

    def emitted(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def losses(self) -> dict[int, float]:
        """The loss of each step."""
        return {event.step: event.loss for event in self.emitted(StepDone)}

    @property
    def adapter_digest(self) -> str:
        return digest(self.output / "adapter.safetensors")


def stop_at(call: int) -> Callable[[], None]:
    """A check that raises Interrupted only at its nth call."""
    calls = iter(range(1, 10_000))

    def check_interrupted() -> None:
        if next(calls) == call:
            raise Interrupted

    return check_interrupted


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
