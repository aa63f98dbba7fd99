"""The reference recipe, compared with art-from-audio's training script."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from covergen.training import train_step
from covergen.training.data.examples import Example
from covergen.training.denoising import Draws, draw
from covergen.training.events import StepDone
from covergen.training.recipe import RECIPES
from covergen.training.trainable_weights import Learner
from tests.reference_training import ReferenceTraining
from tests.unit.training.trainer import Trainer

STEPS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The inputs and results of one step."""

    indices: NDArray[np.intp]
    draws: Draws
    gradients: list[Tensor]
    weights: list[Tensor]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """The steps of the trainings in a test."""
    steps: list[Step] = []
    drawn: list[Draws] = []
    batches: list[NDArray[np.intp]] = []
    batch, update = train_step._batch, Learner.update

    def record_draw(*args: Any, **options: Any) -> Draws:
        drawn.append(draw(*args, **options))
        return drawn[-1]

    def record_batch(*args: Any) -> NDArray[np.intp]:
        batches.append(batch(*args))
        return batches[-1]

    def record_update(learner: Learner) -> None:
        gradients = [torch.clone(p.grad) for p in learner.parameters if p.grad is not None]
        update(learner)
        weights = [p.detach().clone() for p in learner.parameters]
        steps.append(
            Step(indices=batches[-1], draws=drawn[-1], gradients=gradients, weights=weights)
        )

    monkeypatch.setattr(train_step, "draw", record_draw)
    monkeypatch.setattr(train_step, "_batch", record_batch)
    monkeypatch.setattr(Learner, "update", record_update)
    return steps


def test_steps_match_the_reference(
    trainer: Trainer, sd1: Path, examples: list[Example], recorded: list[Step]
) -> None:
    trainer.recipe = RECIPES["reference"]
    # Three epochs of one step each, at 64 pixels for speed.
    trainer(examples, resolution=64, epochs=STEPS)
    reference = ReferenceTraining(sd1, steps=STEPS, size=64)
    events = trainer.emitted(StepDone)
    assert len(recorded) == len(events) == STEPS
    for step, event in zip(recorded, events, strict=True):
        assert sorted(step.indices) == list(range(len(examples)))
        chosen = [examples[index] for index in step.indices]
        loss = reference.backward(chosen, step.draws.noise, step.draws.timesteps)
        assert event.loss == pytest.approx(loss, rel=1e-5)
        for found, parameter in zip(step.gradients, reference.parameters, strict=True):
            tolerance = 1e-5 * float(parameter.grad.abs().max()) + 1e-12
            torch.testing.assert_close(found, parameter.grad, rtol=1e-5, atol=tolerance)
        rate = reference.update()
        assert event.rate == pytest.approx(rate, rel=1e-12)
        for one, other in zip(step.weights, reference.parameters, strict=True):
            # Adam amplifies rounding errors where a gradient is almost zero.
            assert float((one - other.detach()).abs().mean()) < 1e-3 * rate
            other.data.copy_(one)  # so that differences do not accumulate


def test_reference_settings() -> None:
    recipe = RECIPES["reference"]
    assert (recipe.projection, recipe.tokens, recipe.rank) == ("linear", 1, 4)
    assert (recipe.batch_size, recipe.epochs, recipe.resolution) == (32, 30, 512)
    assert (recipe.learning_rate, recipe.crop, recipe.clip) == (1e-4, "stretch", 1.0)
    assert (recipe.checkpoint_every, recipe.checkpoint_unit) == (10, "epochs")
    assert (recipe.condition_dropout, recipe.min_snr_gamma, recipe.ema) == (0.0, None, None)
    assert recipe.steps(65) == 90
