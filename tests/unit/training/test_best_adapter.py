"""The adapter with the lowest validation loss is kept beside the last one."""

import pytest

from covergen.diffusion.adapter_file import inspect, read_tensors
from covergen.training import loop
from covergen.training.data.examples import Example
from covergen.training.events import Validated
from covergen.training.report.report_page import write_report
from tests.unit.training.trainer import NAMES, Killed, Trainer

VALIDATED = {
    "validation": 0.3,
    "validate_every": 1,
    "keep_checkpoints": None,
    "checkpoint_every": 1,
}


def with_losses(monkeypatch: pytest.MonkeyPatch, *losses: float) -> None:
    """Let the validation return these losses, one a step."""
    monkeypatch.setattr(loop, "validation_loss", lambda run: losses[run.learner.step - 1])


def is_from_step(trainer: Trainer, step: int) -> bool:
    """Whether the best adapter's weights are those of the checkpoint of a step."""
    files = ("adapter-best.safetensors", f"checkpoints/step-{step}.safetensors")
    best, expected = (read_tensors(inspect(trainer.output / name)) for name in files)
    return all(bool((best[name] == tensor).all()) for name, tensor in expected.items())


def test_best_adapter_is_kept_when_later_ones_are_worse(
    trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_losses(monkeypatch, 0.5, 0.2, 0.4, float("nan"))
    trained = trainer(examples, **VALIDATED)
    assert trained.best is not None
    assert (trained.best.step, trained.best.loss) == (2, 0.2)
    assert trained.best.path == trainer.output / "adapter-best.safetensors"
    assert is_from_step(trainer, 2)
    assert not is_from_step(trainer, 4)
    assert [event.best for event in trainer.emitted(Validated)] == [True, True, False, False]
    again = trainer(examples, resume=True, **VALIDATED)
    assert again.best == trained.best
    page = write_report(
        trainer.output, trainer.recipe, NAMES, dataset="music", left_out={}
    ).read_text(encoding="utf-8")
    assert "adapter-best.safetensors is from step 2" in page


def test_resumed_training_does_not_replace_the_best_adapter_with_a_worse_one(
    trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best adapter is newer than the checkpoint that the training resumes from."""
    changes = {**VALIDATED, "checkpoint_every": 2}
    with_losses(monkeypatch, 0.5, 0.4, 0.1, 0.3)
    with pytest.raises(Killed):
        trainer(examples, kill_after=4, **changes)
    with_losses(monkeypatch, 0.5, 0.4, 0.3, 0.2)
    trained = trainer(examples, resume=True, **changes)
    assert trained.best is not None
    assert (trained.best.step, trained.best.loss) == (3, 0.1)


def test_best_adapter_of_another_training_is_not_kept(
    trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that was killed before its first checkpoint may be started again differently."""
    changes = {**VALIDATED, "checkpoint_every": 9}
    with_losses(monkeypatch, 0.1, 0.1, 0.1, 0.1)
    with pytest.raises(Killed):
        trainer(examples, kill_after=2, **changes)
    with_losses(monkeypatch, 0.5, 0.4, 0.6, 0.7)
    trained = trainer(examples, seed=1, **changes)
    assert trained.best is not None
    assert trained.best.loss == 0.4


def test_no_best_adapter_without_validation(whole: Trainer) -> None:
    assert not (whole.output / "adapter-best.safetensors").exists()
