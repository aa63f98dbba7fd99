"""Failures during a training: clear errors that state how to continue."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from covergen.core.atomic_write import write_whole
from covergen.core.errors import TrainingError, UsageError
from covergen.diffusion import adapter_file
from covergen.training.data.examples import Example
from covergen.training.events import Event, PairLeftOut, StepDone, TrainingBegun
from covergen.training.report.event_record import Record
from covergen.training.trainable_weights import Learner
from tests.unit.training.trainer import Trainer


def test_unusable_pairs_are_left_out(
    trainer: Trainer, examples: list[Example], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    nan = np.full(512, np.nan, np.float32)
    mixed = [replace(examples[0], image=bad), *examples[1:9], replace(examples[9], vector=nan)]
    trained = trainer(mixed)
    reasons = {event.stem: event.reason for event in trainer.emitted(PairLeftOut)}
    assert reasons.keys() == {"track 0", "track 9"}
    assert "picture cannot be read" in reasons["track 0"]
    assert "NaN" in reasons["track 9"]
    assert trained.left_out == 2
    (start,) = trainer.emitted(TrainingBegun)
    assert start.pairs + start.validation_pairs == 8


def test_strict_stops_at_unusable_pairs(
    trainer: Trainer, examples: list[Example], tmp_path: Path
) -> None:
    missing = [replace(example, image=tmp_path / "gone.png") for example in examples]
    with pytest.raises(TrainingError, match="1 of 10 pairs cannot be used"):
        trainer([missing[0], *examples[1:]], strict=True)
    assert trainer.emitted(PairLeftOut)[0].stem == "track 0"
    with pytest.raises(TrainingError, match="No pairs are left to train on"):
        trainer(missing)
    assert not trainer.emitted(StepDone)


def test_invalid_resolution_and_output_are_refused(
    trainer: Trainer, examples: list[Example], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="resolution 50: this base needs a multiple of"):
        trainer(examples, resolution=50)
    (tmp_path / "file").write_text("", encoding="utf-8")
    trainer.output = tmp_path / "file" / "out"
    with pytest.raises(UsageError, match="file"):
        trainer(examples)


@pytest.mark.parametrize(("every", "step"), [(9, 4), (1, 3)])
def test_divergence_is_detected_before_it_is_saved(
    every: int,
    step: int,
    trainer: Trainer,
    examples: list[Example],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Step 3 spoils the weights, which a checkpoint notices at once and else the next loss."""
    update = Learner.update

    def spoil(learner: Learner) -> None:
        update(learner)
        if learner.step == 3:
            learner.parameters[0].data.fill_(torch.nan)

    monkeypatch.setattr(Learner, "update", spoil)
    with pytest.raises(TrainingError, match=f"loss of step {step} is not finite") as caught:
        trainer(examples, checkpoint_every=every)
    saved = "continue from step 2" if every == 1 else "No checkpoint was saved"
    assert saved in caught.value.hint
    assert sorted(trainer.output.glob("checkpoints/step-[34]*")) == []


def test_out_of_memory_is_reported(
    trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = Learner.backward

    def fail(learner: Learner, loss: Tensor) -> None:
        if learner.step == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        backward(learner, loss)

    monkeypatch.setattr(Learner, "backward", fail)
    with pytest.raises(TrainingError, match="Out of memory") as caught:
        trainer(examples)
    assert "smaller --resolution" in caught.value.hint
    assert "continue from step 2" in caught.value.hint


@pytest.mark.parametrize("where", ["state", "log"])
def test_full_disk_is_reported_and_training_can_resume(
    where: str, trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint of step 2 is complete; that of step 4 cannot be written."""
    no_space = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")
    record_event = Record.__call__

    def write(path: Path, data: bytes) -> None:
        if path.name.startswith("step-4.state"):
            raise no_space
        write_whole(path, data)

    def record(self: Record, event: Event) -> None:
        if isinstance(event, StepDone) and event.step == 3:
            raise no_space
        record_event(self, event)

    with monkeypatch.context() as patch:
        if where == "state":
            patch.setattr(adapter_file, "write_whole", write)
        else:
            patch.setattr(Record, "__call__", record)
        with pytest.raises(TrainingError, match="No space left on device") as caught:
            trainer(examples)
    assert "continue from step 2" in caught.value.hint
    trainer(examples, resume=True)
    assert trainer.emitted(TrainingBegun)[-1].step == 2
