"""A training from end to end: what comes out is what was asked for, and paints."""

import sys
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

from covergen.core.types import PaintRequest
from covergen.diffusion.adapter import inspect
from covergen.diffusion.painter import load_painter
from covergen.diffusion.sampler import paint
from covergen.training.events import (
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
from tests.plain_diffusion import difference, empty_prompt
from tests.unit.training.trainer import SAMPLING, Trainer, digest


def test_what_comes_out(trainer: Trainer, examples: list[Example]) -> None:
    trained = trainer(examples, validation=0.3, validate_every=3, sample_every=4)
    begun = trainer.of(TrainingBegun)[0]
    assert (begun.step, begun.steps, begun.precision, begun.processes) == (0, 4, "fp32", 1)
    assert begun.pairs + begun.validation_pairs == 10
    assert [event.step for event in trainer.of(StepDone)] == [1, 2, 3, 4]
    assert [event.step for event in trainer.of(Saved)] == [2, 4]
    assert [event.step for event in trainer.of(Validated)] == [3, 4]
    assert [event.step for event in trainer.of(Sampled)] == [4]
    for event in (*trainer.of(Saved), *trainer.of(Sampled)):
        assert event.path.is_file()
    assert trained.steps == 4
    assert trained.loss == pytest.approx(np.mean(list(trainer.losses.values())))
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


def test_a_sheet_is_white_where_there_is_no_cover(
    trainer: Trainer, examples: list[Example]
) -> None:
    trainer(examples[:5], max_steps=1, sample_every=1)
    with Image.open(trainer.of(Sampled)[0].path) as image:
        sheet = np.asarray(image)
    assert sheet.shape == (128, 256, 3)
    assert (sheet[64:, 64:] == 255).all()


def test_names_that_are_no_utf8_are_names(trainer: Trainer, examples: list[Example]) -> None:
    named = [
        replace(e, stem=f"Andr\udce9 {n}", album=f"Andr\udce9 {n}") for n, e in enumerate(examples)
    ]
    trainer(named, max_steps=1, validation=0.3)
    assert trainer.of(Validated)


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
    found = list(trainer.losses.values())
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


def test_accumulation_is_a_larger_batch(
    whole: Trainer, trainer: Trainer, examples: list[Example]
) -> None:
    trainer(examples, batch_size=1, accumulation=3)
    assert trainer.losses == pytest.approx(whole.losses, rel=1e-5)


def test_gradient_checkpointing_changes_nothing(
    whole: Trainer, trainer: Trainer, examples: list[Example]
) -> None:
    trainer(examples, gradient_checkpointing=True)
    assert trainer.losses == pytest.approx(whole.losses, rel=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_follows(
    precision: Literal["bf16", "fp16"], whole: Trainer, trainer: Trainer, examples: list[Example]
) -> None:
    trained = trainer(examples, precision=precision)
    assert trainer.of(TrainingBegun)[0].precision == precision
    assert trainer.losses == pytest.approx(whole.losses, rel=0.05)
    assert {tensor.dtype for tensor in load_file(trained.adapter).values()} == {torch.float32}


def test_velocity_at_another_shape(sd2: Path, tmp_path: Path, examples: list[Example]) -> None:
    trainer = Trainer(sd2, tmp_path / "out")
    trained = trainer(examples, sample_every=4, crop="random")
    assert inspect(trained.adapter).tokens == 8  # of 16 positions
    assert all(np.isfinite(list(trainer.losses.values())))


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
    assert len(trainer.losses) == 4


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
        ("learning rate", 1e-2, 1),
        ("validation loss", trainer.of(Validated)[0].loss, 1),
        ("closed", 0, 0),
    ]
