"""The training on a small base, as every test here calls it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from covergen.core.errors import Interrupted
from covergen.core.types import Sampling
from covergen.training.events import Event, StepDone
from covergen.training.examples import Example, Pairs
from covergen.training.recipe import RECIPES, Recipe
from covergen.training.train import Names, Trained, train

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
NAMES = Names(title="Mine", base="tiny/base", clap="tiny/clap")


@dataclass(slots=True)
class Trainer:
    """Trains on one base into one folder; `events` are those of all its trainings."""

    base: Path
    output: Path
    recipe: Recipe = QUICK
    events: list[Event] = field(default_factory=list)

    def __call__(
        self,
        examples: Sequence[Example] | Pairs,
        *,
        emit: Callable[[Event], None] = lambda _: None,
        checkpoint: Callable[[], None] = lambda: None,
        resume: bool = False,
        strict: bool = False,
        **changes: Any,
    ) -> Trained:
        def tell(event: Event) -> None:
            self.events.append(event)
            emit(event)

        return train(
            self.base,
            examples,
            replace(self.recipe, **changes),
            self.output,
            names=NAMES,
            device=torch.device("cpu"),
            emit=tell,
            checkpoint=checkpoint,
            resume=resume,
            strict=strict,
            sampling=SAMPLING,
        )

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def losses(self) -> dict[int, float]:
        """By step."""
        return {event.step: event.loss for event in self.of(StepDone)}


def stop_at(call: int) -> Callable[[], None]:
    """A checkpoint that raises Interrupted at its n-th call, and is silent afterwards."""
    calls = iter(range(1, 10_000))

    def checkpoint() -> None:
        if next(calls) == call:
            raise Interrupted

    return checkpoint


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
