"""A training that was stopped goes on to the very bit, and from what is whole alone."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from covergen.core.errors import Interrupted, TrainingError, UsageError
from covergen.training import loop
from covergen.training.events import (
    CheckpointDamaged,
    Event,
    Saved,
    StepDone,
    TrainingBegun,
)
from covergen.training.examples import Example
from covergen.training.log import read_log
from tests.unit.training.trainer import Trainer, digest, stop_at


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_an_interrupted_training_goes_on_to_the_bit(
    call: int, whole: Trainer, trainer: Trainer, examples: list[Example]
) -> None:
    encoding = len(examples)  # a call each
    with pytest.raises(Interrupted):
        trainer(examples, checkpoint=stop_at(encoding + call))
    assert len(trainer.losses) == call - 1
    trained = trainer(examples, resume=True)
    assert trainer.losses == whole.losses
    assert digest(trained.adapter) == digest(whole.output / "adapter.safetensors")
    state = "checkpoints/step-4.state.safetensors"
    found, expected = load_file(trainer.output / state), load_file(whole.output / state)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert trained.loss == pytest.approx(np.mean(list(whole.losses.values())))


def test_steps_that_are_made_ahead_are_told_and_saved(
    whole: Trainer, trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: a step is looked at when the next is under way."""
    monkeypatch.setattr(loop, "_steps_ahead", lambda _: 1)
    with pytest.raises(Interrupted):
        trainer(examples, checkpoint=stop_at(len(examples) + 4))
    assert [event.step for event in trainer.of(StepDone)] == [1, 2, 3]
    assert trainer.of(Saved)[-1].step == 3
    trained = trainer(examples, resume=True)
    assert trainer.losses == whole.losses
    assert digest(trained.adapter) == digest(whole.output / "adapter.safetensors")


def test_half_precision_goes_on_to_the_bit(
    sd1: Path, tmp_path: Path, examples: list[Example]
) -> None:
    """With the scaler of its gradients."""
    one, two = Trainer(sd1, tmp_path / "one"), Trainer(sd1, tmp_path / "two")
    one(examples, precision="fp16")
    with pytest.raises(Interrupted):
        two(examples, precision="fp16", checkpoint=stop_at(len(examples) + 2))
    two(examples, precision="fp16", resume=True)
    assert one.losses == two.losses
    assert digest(one.output / "adapter.safetensors") == digest(two.output / "adapter.safetensors")


def test_a_killed_training_goes_on_from_its_checkpoint(
    whole: Trainer, trainer: Trainer, examples: list[Example]
) -> None:
    """Killed: nothing is saved on the way out. The log forgets what is done again."""

    class Killed(BaseException):
        pass

    def kill(event: Event) -> None:
        if isinstance(event, StepDone) and event.step == 3:
            raise Killed

    with pytest.raises(Killed):
        trainer(examples, emit=kill)
    with (trainer.output / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"type": "step", "st')
    (trainer.output / "checkpoints" / "step-3.safetensors").write_bytes(b"half of one")
    trainer(examples, resume=True)
    assert [event.step for event in trainer.of(StepDone)] == [1, 2, 3, 3, 4]
    assert trainer.losses == whole.losses
    logged = [e.step for e in read_log(trainer.output / "log.jsonl") if isinstance(e, StepDone)]
    assert logged == [1, 2, 3, 4]


def test_a_finished_training_may_be_resumed(
    whole: Trainer, examples: list[Example], tmp_path: Path
) -> None:
    shutil.copytree(whole.output, tmp_path / "out")
    again = Trainer(whole.base, tmp_path / "out")
    trained = again(examples, resume=True)
    assert not again.of(StepDone)
    assert digest(trained.adapter) == digest(whole.output / "adapter.safetensors")
    assert trained.loss == pytest.approx(np.mean(list(whole.losses.values())))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (flip, "step-4.safetensors"),
        (cut, "step-4.state.safetensors"),
        (Path.unlink, "step-4.state.safetensors"),
    ],
)
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    damage: Callable[[Path], None],
    name: str,
    whole: Trainer,
    examples: list[Example],
    tmp_path: Path,
) -> None:
    shutil.copytree(whole.output, tmp_path / "out")
    damage(tmp_path / "out" / "checkpoints" / name)
    again = Trainer(whole.base, tmp_path / "out")
    again(examples, resume=True)
    (told,) = again.of(CheckpointDamaged)
    assert told.path.name == "step-4.safetensors"
    assert name in told.reason
    assert again.of(TrainingBegun)[0].step == 2
    assert again.losses == {s: loss for s, loss in whole.losses.items() if s > 2}


def test_a_damaged_checkpoint_pushes_no_whole_one_out(
    whole: Trainer, examples: list[Example], tmp_path: Path
) -> None:
    """Only one is kept: that must not be the damaged one, though its step is the last."""
    shutil.copytree(whole.output, tmp_path / "out")
    folder = tmp_path / "out" / "checkpoints"
    flip(folder / "step-4.safetensors")
    again = Trainer(whole.base, tmp_path / "out")
    with pytest.raises(Interrupted):
        again(examples, resume=True, keep_checkpoints=1, checkpoint=stop_at(len(examples) + 2))
    assert [path.name for path in folder.glob("*.sha256")] == ["step-3.sha256"]
    again(examples, resume=True)
    assert again.of(TrainingBegun)[-1].step == 3
    assert digest(again.output / "adapter.safetensors") == digest(
        whole.output / "adapter.safetensors"
    )


def test_no_checkpoint_is_whole(whole: Trainer, examples: list[Example], tmp_path: Path) -> None:
    shutil.copytree(whole.output, tmp_path / "out")
    for path in (tmp_path / "out" / "checkpoints").glob("*.state.safetensors"):
        flip(path)
    with pytest.raises(TrainingError, match="none of its checkpoints is whole"):
        Trainer(whole.base, tmp_path / "out")(examples, resume=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"learning_rate": 0.5}, "learning_rate was 0.01, is 0.5"),
        ({"max_steps": 5}, "max_steps was 4, is 5"),
    ],
)
def test_another_recipe_cannot_go_on(
    changes: dict[str, Any], said: str, whole: Trainer, examples: list[Example], tmp_path: Path
) -> None:
    shutil.copytree(whole.output, tmp_path / "out")
    with pytest.raises(UsageError, match="begun otherwise") as caught:
        Trainer(whole.base, tmp_path / "out")(examples, resume=True, **changes)
    assert said in caught.value.message


def test_another_precision_cannot_go_on_and_its_name_does_not_matter(
    whole: Trainer, examples: list[Example], tmp_path: Path
) -> None:
    """What "auto" came to counts: on another machine it may be something else."""
    shutil.copytree(whole.output, tmp_path / "out")
    again = Trainer(whole.base, tmp_path / "out")
    with pytest.raises(UsageError, match="dtype was fp32, is fp16"):
        again(examples, resume=True, precision="fp16")
    again(examples, resume=True, precision="fp32")


def test_other_pairs_cannot_go_on(whole: Trainer, examples: list[Example], tmp_path: Path) -> None:
    shutil.copytree(whole.output, tmp_path / "out")
    with pytest.raises(UsageError, match="the pairs are others"):
        Trainer(whole.base, tmp_path / "out")(examples[1:], resume=True)


def test_how_often_to_save_may_change(
    whole: Trainer, examples: list[Example], tmp_path: Path
) -> None:
    shutil.copytree(whole.output, tmp_path / "out")
    Trainer(whole.base, tmp_path / "out")(
        examples, resume=True, checkpoint_every=1, validate_every=None, keep_checkpoints=None
    )


def test_a_training_that_saved_nothing_may_begin_anew(
    trainer: Trainer, examples: list[Example]
) -> None:
    class Killed(BaseException):
        pass

    def kill(event: Event) -> None:
        if isinstance(event, StepDone):
            raise Killed

    with pytest.raises(Killed):
        trainer(examples, emit=kill)
    (trainer.output / "samples").mkdir()
    for place in (".", "samples", "checkpoints"):
        (trainer.output / place / ".covergen-1.part").write_bytes(b"half of one")
    trainer(examples, max_steps=2)
    logged = [e.step for e in read_log(trainer.output / "log.jsonl") if isinstance(e, StepDone)]
    assert logged == [1, 2]
    assert not list(trainer.output.rglob(".covergen-*"))


def test_a_training_is_not_overwritten(whole: Trainer, examples: list[Example]) -> None:
    with pytest.raises(UsageError, match="holds a training already"):
        whole(examples)


def test_resuming_nothing_begins(trainer: Trainer, examples: list[Example]) -> None:
    trainer(examples, max_steps=1, resume=True)
    assert [event.step for event in trainer.of(StepDone)] == [1]


def test_the_last_checkpoints_are_kept(trainer: Trainer, examples: list[Example]) -> None:
    trainer(examples, checkpoint_every=1, keep_checkpoints=2)
    names = sorted(path.name for path in (trainer.output / "checkpoints").iterdir())
    assert names == [
        f"step-{step}.{suffix}"
        for step in (3, 4)
        for suffix in ("safetensors", "sha256", "state.safetensors")
    ]


def test_the_digests_are_those_of_sha256sum(whole: Trainer) -> None:
    folder = whole.output / "checkpoints"
    lines = (folder / "step-4.sha256").read_text(encoding="ascii").splitlines()
    assert lines == [
        f"{digest(folder / name)}  {name}"
        for name in ("step-4.safetensors", "step-4.state.safetensors")
    ]


def test_the_state_is_no_program(whole: Trainer) -> None:
    """Safetensors hold numbers; settings are JSON."""
    from safetensors import safe_open

    with safe_open(whole.output / "checkpoints/step-4.state.safetensors", "pt") as file:
        said = json.loads(file.metadata()["covergen.training"])
    assert said["recipe"]["learning_rate"] == 1e-2
