"""A training from end to end: it resumes to the bit, says what fails, and what it saves paints."""

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from covergen.core.errors import Interrupted, TrainingError, UsageError
from covergen.core.whole_file import write_whole
from covergen.diffusion import adapter_file
from covergen.diffusion.adapter import inspect
from covergen.diffusion.painter import load_painter
from covergen.diffusion.sampler import PaintRequest, paint
from covergen.training import loop
from covergen.training.events import (
    CheckpointDamaged,
    Event,
    PairLeftOut,
    PictureEncoded,
    Sampled,
    Saved,
    StepDone,
    TrainingBegun,
    Validated,
)
from covergen.training.examples import Example, Pairs
from covergen.training.latents import from_array
from covergen.training.learner import Learner
from covergen.training.log import read_log
from covergen.training.recipe import RECIPES
from covergen.training.record import Record
from tests.plain_diffusion import difference, empty_prompt
from tests.unit.training.trainer import SAMPLING, Trainer


def stop_at(call: int) -> Callable[[], None]:
    """A checkpoint that raises Interrupted at its n-th call, and is silent afterwards."""
    calls = iter(range(1, 10_000))

    def checkpoint() -> None:
        if next(calls) == call:
            raise Interrupted

    return checkpoint


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def losses(trainer: Trainer) -> dict[int, float]:
    return {event.step: event.loss for event in trainer.of(StepDone)}


# --- what comes out ---


def test_what_comes_out(trainer: Trainer, examples: list[Example]) -> None:
    trained = trainer(examples, validation=0.3, validate_every=3, sample_every=4)
    begun = trainer.of(TrainingBegun)[0]
    assert (begun.step, begun.steps, begun.precision, begun.processes) == (0, 4, "none", 1)
    assert begun.pairs + begun.validation_pairs == 10
    assert [event.step for event in trainer.of(StepDone)] == [1, 2, 3, 4]
    assert [event.step for event in trainer.of(Saved)] == [2, 4]
    assert [event.step for event in trainer.of(Validated)] == [3, 4]
    assert [event.step for event in trainer.of(Sampled)] == [4]
    for event in (*trainer.of(Saved), *trainer.of(Sampled)):
        assert event.path.is_file()
    assert trained.steps == 4
    assert trained.loss == pytest.approx(np.mean(list(losses(trainer).values())))
    assert trained.validation_loss == trainer.of(Validated)[-1].loss
    assert digest(trained.adapter) == digest(trainer.of(Saved)[-1].path)
    with Image.open(trainer.of(Sampled)[-1].path) as sheet:
        assert sheet.size == (64 * min(4, begun.validation_pairs), 64)


def test_the_log_has_every_event(trainer: Trainer, examples: list[Example]) -> None:
    bad = replace(examples[9], vector=np.full(512, np.nan, np.float32))
    trainer([*examples[:9], bad], validation=0.3)
    told = [event for event in trainer.events if not isinstance(event, PictureEncoded)]
    assert {type(event) for event in told} == {
        PairLeftOut, TrainingBegun, StepDone, Saved, Validated
    }  # fmt: skip
    assert read_log(trainer.output / "log.jsonl") == told


def test_the_file_says_what_painting_needs(whole: Trainer) -> None:
    """8 tokens would not fill 77 positions by whole repeats: 7 do."""
    info = inspect(whole.output / "adapter.safetensors")
    assert (info.projection, info.tokens, info.d_audio) == ("tokens", 7, 512)
    assert (info.rank, info.alpha, info.empty_prompt) == (4, 4, "plain")
    assert (info.title, info.base, info.clap) == ("Mine", "tiny/base", "tiny/clap")
    assert info.training["step"] == 4
    assert info.training["learning_rate"] == 1e-2


@pytest.mark.parametrize("recipe", ["default", "reference"])
def test_it_paints_against_the_empty_prompt_it_was_trained_with(
    recipe: str, trainer: Trainer, sd1: Path, examples: list[Example]
) -> None:
    trainer.recipe = replace(
        RECIPES[recipe], resolution=64, max_steps=1, sample_every=None, validation=0.0
    )
    adapter = trainer(examples).adapter
    cpu = torch.device("cpu")
    painter = load_painter(sd1, adapter, d_audio=512, device=cpu, dtype=torch.float32)
    masked = recipe == "reference"
    assert torch.equal(painter.unconditional, empty_prompt(sd1, masked=masked))
    requests = [PaintRequest(vector=examples[0].vector, seed=1)]
    (picture,) = paint(painter, requests, SAMPLING, batch_size=1, checkpoint=lambda: None)
    assert picture.shape == (64, 64, 3)


def test_samples_are_what_the_saved_file_paints(
    trainer: Trainer, sd1: Path, examples: list[Example]
) -> None:
    """The sheet is painted with averaged, unmerged weights, the file's are merged."""
    trained = trainer(examples, sample_every=4, ema=0.5)
    cpu = torch.device("cpu")
    painter = load_painter(sd1, trained.adapter, d_audio=512, device=cpu, dtype=torch.float32)
    requests = [PaintRequest(vector=examples[i].vector, seed=i) for i in range(2)]
    pictures = list(paint(painter, requests, SAMPLING, batch_size=2, checkpoint=lambda: None))
    with Image.open(trainer.of(Sampled)[0].path) as image:
        sheet = np.asarray(image)
    assert sheet.shape == (128, 256, 3)
    assert difference(sheet[:64, :64], pictures[0]) <= 1
    assert difference(sheet[:64, 64:128], pictures[1]) <= 1


def test_the_base_is_left_as_it_was(
    trainer: Trainer, sd1: Path, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[UNet2DConditionModel] = []
    update = Learner.update

    def spying(learner: Learner) -> None:
        kept.append(learner.unet)
        update(learner)

    monkeypatch.setattr(Learner, "update", spying)
    trainer(examples, max_steps=2)
    before = UNet2DConditionModel.from_pretrained(sd1 / "unet").state_dict()
    after = kept[0].state_dict()
    for name, tensor in before.items():
        found = after.get(name, after.get(name.replace(".weight", ".base_layer.weight")))
        if found is None:
            found = after[name.replace(".bias", ".base_layer.bias")]
        assert torch.equal(found, tensor)


def test_training_learns(trainer: Trainer, examples: list[Example]) -> None:
    """The same ten pairs, again and again: their loss must fall below where it started."""
    trainer(
        examples, max_steps=24, batch_size=10, ema=None, condition_dropout=0.0,
        checkpoint_every=24, min_snr_gamma=None,
    )  # fmt: skip
    found = list(losses(trainer).values())
    assert np.mean(found[-6:]) < 0.9 * np.mean(found[:6])


def test_the_average_is_saved_and_the_weights_go_on(
    trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    """EMA by hand, from the weights after each step."""
    history: list[list[Tensor]] = []
    update = Learner.update

    def spying(learner: Learner) -> None:
        if not history:
            history.append([p.detach().clone() for p in learner.parameters])
        update(learner)
        history.append([p.detach().clone() for p in learner.parameters])

    monkeypatch.setattr(Learner, "update", spying)
    trained = trainer(examples, ema=0.3, checkpoint_every=1, validation=0.3, validate_every=1)
    mean = history[0]
    for step, weights in enumerate(history[1:], start=1):
        decay = min(0.3, (1 + step) / (10 + step))
        mean = [decay * m + (1 - decay) * w for m, w in zip(mean, weights, strict=True)]
    saved = sorted(float(t.double().sum()) for t in load_file(trained.adapter).values())
    assert saved == pytest.approx(sorted(float(m.double().sum()) for m in mean), abs=1e-5)


# --- steps ---


@pytest.fixture(scope="module")
def whole(sd1: Path, examples: list[Example], tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A training that nothing interrupted."""
    trainer = Trainer(sd1, tmp_path_factory.mktemp("whole") / "out")
    trainer(examples)
    return trainer


def test_accumulation_is_a_larger_batch(
    whole: Trainer, trainer: Trainer, examples: list[Example]
) -> None:
    trainer(examples, batch_size=1, accumulation=3)
    assert losses(trainer) == pytest.approx(losses(whole), rel=1e-5)


def test_gradient_checkpointing_changes_nothing(
    whole: Trainer, trainer: Trainer, examples: list[Example]
) -> None:
    trainer(examples, gradient_checkpointing=True)
    assert losses(trainer) == pytest.approx(losses(whole), rel=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_follows(
    precision: Literal["bf16", "fp16"], whole: Trainer, trainer: Trainer, examples: list[Example]
) -> None:
    trained = trainer(examples, precision=precision)
    assert trainer.of(TrainingBegun)[0].precision == precision
    assert losses(trainer) == pytest.approx(losses(whole), rel=0.05)
    assert {tensor.dtype for tensor in load_file(trained.adapter).values()} == {torch.float32}


def test_velocity_at_another_shape(sd2: Path, tmp_path: Path, examples: list[Example]) -> None:
    trainer = Trainer(sd2, tmp_path / "out")
    trained = trainer(examples, sample_every=4, crop="random")
    assert inspect(trained.adapter).tokens == 8  # of 16 positions
    assert all(np.isfinite(list(losses(trainer).values())))


def test_latents_at_hand_and_a_projection_to_start_from(
    sd1: Path, trainer: Trainer, examples: list[Example]
) -> None:
    latents = np.random.default_rng(0).standard_normal((10, 2, 4, 8, 8)).astype(np.float16)
    pairs = Pairs(
        stems=[example.stem for example in examples],
        albums=[example.album for example in examples],
        vectors=np.stack([example.vector for example in examples]),
        latents=from_array(np.abs(latents)),
    )
    trained = trainer(pairs)
    assert trained.left_out == 0
    assert len(losses(trainer)) == 4


# --- resume ---


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_an_interrupted_training_goes_on_to_the_bit(
    call: int, whole: Trainer, trainer: Trainer, examples: list[Example]
) -> None:
    encoding = len(examples)  # a call each
    with pytest.raises(Interrupted):
        trainer(examples, checkpoint=stop_at(encoding + call))
    assert len(losses(trainer)) == call - 1
    trained = trainer(examples, resume=True)
    assert losses(trainer) == losses(whole)
    assert digest(trained.adapter) == digest(whole.output / "adapter.safetensors")
    state = "checkpoints/step-4.state.safetensors"
    found, expected = load_file(trainer.output / state), load_file(whole.output / state)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert trained.loss == pytest.approx(np.mean(list(losses(whole).values())))


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
    assert losses(trainer) == losses(whole)
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
    assert losses(one) == losses(two)
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
    assert losses(trainer) == losses(whole)
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
    assert trained.loss == pytest.approx(np.mean(list(losses(whole).values())))


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
    assert losses(again) == {s: loss for s, loss in losses(whole).items() if s > 2}


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
    (trainer.output / "checkpoints" / ".covergen-1.part").write_bytes(b"half of one")
    trainer(examples, max_steps=2)
    logged = [e.step for e in read_log(trainer.output / "log.jsonl") if isinstance(e, StepDone)]
    assert logged == [1, 2]
    assert not list(trainer.output.glob("checkpoints/.*"))


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


# --- what fails ---


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
    with pytest.raises(TrainingError, match="file"):
        Trainer(sd1, tmp_path / "file" / "out")(examples)


def test_tensorboard_where_it_is_installed(
    trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, float, int]] = []

    class SummaryWriter:
        def __init__(self, folder: Path, purge_step: int) -> None:
            told.append((folder.name, 0, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append((name, value, step))

        def close(self) -> None:
            told.append(("closed", 0, 0))

    module: Any = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    trainer(examples, max_steps=1, validation=0.3)
    assert told == [
        ("tensorboard", 0, 1),
        ("loss", trainer.of(StepDone)[0].loss, 1),
        ("learning rate", 5e-3, 1),
        ("validation loss", trainer.of(Validated)[0].loss, 1),
        ("closed", 0, 0),
    ]


def test_the_state_is_no_program(whole: Trainer) -> None:
    """Safetensors hold numbers; settings are JSON."""
    from safetensors import safe_open

    with safe_open(whole.output / "checkpoints/step-4.state.safetensors", "pt") as file:
        said = json.loads(file.metadata()["covergen.training"])
    assert said["recipe"]["learning_rate"] == 1e-2
