"""Resuming a training: bit-identical results, and only from intact checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from covergen.core.errors import Interrupted, TrainingError, UsageError
from covergen.training import loop
from covergen.training.data.examples import Example
from covergen.training.events import CheckpointDamaged, Saved, StepDone, TrainingBegun
from covergen.training.report.log import read_log
from tests.unit.training.trainer import Killed, Trainer, digest, stop_at


def logged_steps(trainer: Trainer) -> list[int]:
    events = read_log(trainer.output / "log.jsonl")
    return [event.step for event in events if isinstance(event, StepDone)]


@pytest.mark.parametrize("call", [1, 4])
def test_interrupted_training_resumes_with_identical_results(
    call: int, whole: Trainer, trainer: Trainer, examples: list[Example]
) -> None:
    encoding = len(examples)  # one call each
    with pytest.raises(Interrupted):
        trainer(examples, check_interrupted=stop_at(encoding + call))
    assert len(trainer.losses) == call - 1
    trained = trainer(examples, resume=True)
    assert trainer.losses == whole.losses
    assert trainer.adapter_digest == whole.adapter_digest
    state = "checkpoints/step-4.state.safetensors"
    found, expected = load_file(trainer.output / state), load_file(whole.output / state)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert trained.loss == pytest.approx(np.mean(list(whole.losses.values())))


def test_queued_steps_are_finished_and_saved(
    whole: Trainer, trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU, the result of a step is read after the next one is queued."""
    monkeypatch.setattr(loop, "steps_ahead", lambda _: 1)
    with pytest.raises(Interrupted):
        trainer(examples, check_interrupted=stop_at(len(examples) + 4))
    assert [event.step for event in trainer.emitted(StepDone)] == [1, 2, 3]
    assert trainer.emitted(Saved)[-1].step == 3
    trainer(examples, resume=True)
    assert trainer.losses == whole.losses
    assert trainer.adapter_digest == whole.adapter_digest


def test_killed_training_resumes_from_its_last_checkpoint(
    whole: Trainer, trainer: Trainer, examples: list[Example]
) -> None:
    with pytest.raises(Killed):
        trainer(examples, kill_after=3)
    with (trainer.output / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"type": "step", "st')
    (trainer.output / "checkpoints" / "step-3.safetensors").write_bytes(b"incomplete")
    trainer(examples, resume=True)
    assert [event.step for event in trainer.emitted(StepDone)] == [1, 2, 3, 3, 4]
    assert trainer.losses == whole.losses
    assert logged_steps(trainer) == [1, 2, 3, 4], "repeated steps are logged once"


def flip_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (flip_bit, "step-4.safetensors"),
        (Path.unlink, "step-4.state.safetensors"),
    ],
)
def test_damaged_checkpoint_is_reported_and_the_previous_one_used(
    damage: Callable[[Path], None],
    name: str,
    whole: Trainer,
    copied: Trainer,
    examples: list[Example],
) -> None:
    damage(copied.output / "checkpoints" / name)
    copied(examples, resume=True)
    (event,) = copied.emitted(CheckpointDamaged)
    assert event.path.name == "step-4.safetensors"
    assert name in event.reason
    assert copied.emitted(TrainingBegun)[0].step == 2
    assert copied.losses == {s: loss for s, loss in whole.losses.items() if s > 2}


def test_damaged_checkpoint_does_not_replace_an_intact_one(
    whole: Trainer, copied: Trainer, examples: list[Example]
) -> None:
    """With one checkpoint kept, it must not be the damaged one, although its step is later."""
    folder = copied.output / "checkpoints"
    flip_bit(folder / "step-4.safetensors")
    stop = stop_at(len(examples) + 2)
    with pytest.raises(Interrupted):
        copied(examples, resume=True, keep_checkpoints=1, check_interrupted=stop)
    assert [path.name for path in folder.glob("*.sha256")] == ["step-3.sha256"]
    copied(examples, resume=True)
    assert copied.emitted(TrainingBegun)[-1].step == 3
    assert copied.adapter_digest == whole.adapter_digest


def test_resume_fails_if_all_checkpoints_are_damaged(
    copied: Trainer, examples: list[Example]
) -> None:
    for path in (copied.output / "checkpoints").glob("*.state.safetensors"):
        flip_bit(path)
    with pytest.raises(TrainingError, match="all checkpoints are damaged"):
        copied(examples, resume=True)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"learning_rate": 0.5}, "learning_rate was 0.01, is 0.5"),
        ({"max_steps": 5}, "max_steps was 4, is 5"),
        ({"precision": "fp16"}, "dtype was fp32, is fp16"),  # "auto" was resolved to fp32
    ],
)
def test_resume_refuses_other_settings(
    changes: dict[str, Any], difference: str, copied: Trainer, examples: list[Example]
) -> None:
    with pytest.raises(UsageError, match="Cannot resume: settings differ") as caught:
        copied(examples, resume=True, **changes)
    assert difference in caught.value.message


def test_resume_refuses_other_pairs(copied: Trainer, examples: list[Example]) -> None:
    with pytest.raises(UsageError, match="the training pairs differ"):
        copied(examples[1:], resume=True)


def test_resume_accepts_settings_that_do_not_affect_weights(
    copied: Trainer, examples: list[Example]
) -> None:
    copied(
        examples, resume=True, checkpoint_every=1, validate_every=None, keep_checkpoints=None,
        precision="fp32",
    )  # fmt: skip


def test_training_without_a_checkpoint_can_be_started_again(
    trainer: Trainer, examples: list[Example]
) -> None:
    with pytest.raises(Killed):
        trainer(examples, kill_after=1)
    (trainer.output / "samples").mkdir()
    for folder in (".", "samples", "checkpoints"):
        (trainer.output / folder / ".covergen-0123abcd.tmp").write_bytes(b"incomplete")
    trainer(examples, max_steps=2)
    assert logged_steps(trainer) == [1, 2]
    assert not list(trainer.output.rglob(".covergen-*"))


def test_resume_without_a_checkpoint_starts_from_the_beginning(
    trainer: Trainer, examples: list[Example]
) -> None:
    trainer(examples, max_steps=1, resume=True)
    assert [event.step for event in trainer.emitted(StepDone)] == [1]
    with pytest.raises(UsageError, match="already contains a training"):
        trainer(examples)


def test_only_the_last_checkpoints_are_kept_with_their_digests(
    trainer: Trainer, examples: list[Example]
) -> None:
    trainer(examples, checkpoint_every=1, keep_checkpoints=2)
    folder = trainer.output / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"step-{step}.{suffix}"
        for step in (3, 4)
        for suffix in ("safetensors", "sha256", "state.safetensors")
    ]
    lines = (folder / "step-4.sha256").read_text(encoding="ascii").splitlines()
    assert lines == [
        f"{digest(folder / name)}  {name}"
        for name in ("step-4.safetensors", "step-4.state.safetensors")
    ]


def test_half_precision_resumes_with_identical_results(
    sd1: Path, tmp_path: Path, examples: list[Example]
) -> None:
    """The state includes the loss scale."""
    one, two = Trainer(sd1, tmp_path / "one"), Trainer(sd1, tmp_path / "two")
    one(examples, precision="fp16")
    with pytest.raises(Interrupted):
        two(examples, precision="fp16", check_interrupted=stop_at(len(examples) + 2))
    two(examples, precision="fp16", resume=True)
    assert one.losses == two.losses
    assert one.adapter_digest == two.adapter_digest
