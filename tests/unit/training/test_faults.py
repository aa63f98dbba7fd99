"""What fails in a training: told in a line, with what is saved and what to do."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from covergen.core.errors import TrainingError, UsageError
from covergen.core.files import write_whole
from covergen.diffusion import adapter_file
from covergen.training.events import (
    Event,
    PairLeftOut,
    StepDone,
    TrainingBegun,
)
from covergen.training.examples import Example
from covergen.training.learner import Learner
from covergen.training.record import Record
from tests.unit.training.trainer import Trainer


def test_pictures_that_cannot_be_read_are_left_out(
    trainer: Trainer, examples: list[Example], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    nan = np.full(512, np.nan, np.float32)
    mixed = [
        replace(examples[0], image=bad),
        *examples[1:9],
        replace(examples[9], vector=nan),
    ]
    trained = trainer(mixed)
    told = {event.stem: event.reason for event in trainer.of(PairLeftOut)}
    assert told.keys() == {"track 0", "track 9"}
    assert "picture cannot be read" in told["track 0"]
    assert "no finite numbers" in told["track 9"]
    assert trained.left_out == 2
    begun = trainer.of(TrainingBegun)[0]
    assert begun.pairs + begun.validation_pairs == 8


def test_strict_stops_at_them(trainer: Trainer, examples: list[Example], tmp_path: Path) -> None:
    bad = replace(examples[0], image=tmp_path / "gone.png")
    with pytest.raises(TrainingError, match="1 of 10 pairs cannot be used"):
        trainer([bad, *examples[1:]], strict=True)
    assert trainer.of(PairLeftOut)[0].stem == "track 0"
    assert not trainer.of(StepDone)


def test_no_pair_is_left(trainer: Trainer, examples: list[Example], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="none is left to train on"):
        trainer([replace(example, image=tmp_path / "gone.png") for example in examples])


def test_an_impossible_resolution(trainer: Trainer, examples: list[Example]) -> None:
    with pytest.raises(UsageError, match="resolution of 50 is impossible"):
        trainer(examples, resolution=50)


@pytest.mark.parametrize(("every", "step"), [(9, 4), (1, 3)])
def test_a_training_that_diverges(
    every: int,
    step: int,
    trainer: Trainer,
    examples: list[Example],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The third step spoils the weights: told when it is to be saved, else by the next loss."""
    update = Learner.update

    def spoiling(learner: Learner) -> None:
        update(learner)
        if learner.step == 3:
            learner.parameters[0].data.fill_(torch.nan)

    monkeypatch.setattr(Learner, "update", spoiling)
    with pytest.raises(TrainingError, match=f"step {step} is no finite number") as caught:
        trainer(examples, checkpoint_every=every)
    saved = "Saved is step 2" if every == 1 else "No step was saved yet"
    assert caught.value.hint.startswith(saved)
    assert sorted(trainer.output.glob("checkpoints/step-[34]*")) == []


def test_out_of_memory(
    trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = Learner.backward

    def failing(learner: Learner, loss: Tensor) -> None:
        if learner.step == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        backward(learner, loss)

    monkeypatch.setattr(Learner, "backward", failing)
    with pytest.raises(TrainingError, match="does not fit into memory") as caught:
        trainer(examples)
    assert "gradient checkpointing" in caught.value.hint
    assert "Saved is step 2" in caught.value.hint


@pytest.mark.parametrize("where", ["state", "log"])
def test_a_full_disk(
    where: str, trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint of step 2 is whole, that of step 4 does not come about; step 2 goes on."""
    no_space = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")

    def write(path: Path, data: bytes) -> None:
        if path.name.startswith("step-4.state"):
            raise no_space
        write_whole(path, data)

    tell = Record.__call__

    def record(self: Record, event: Event) -> None:
        if isinstance(event, StepDone) and event.step == 3:
            raise no_space
        tell(self, event)

    with monkeypatch.context() as patch:
        if where == "state":
            patch.setattr(adapter_file, "write_whole", write)
        else:
            patch.setattr(Record, "__call__", record)
        with pytest.raises(TrainingError, match="No space left on device") as caught:
            trainer(examples)
    assert caught.value.hint.startswith("Saved is step 2")
    trainer(examples, resume=True)
    assert trainer.of(TrainingBegun)[-1].step == 2


def test_an_output_that_cannot_be(sd1: Path, examples: list[Example], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="file"):
        Trainer(sd1, tmp_path / "file" / "out")(examples)
