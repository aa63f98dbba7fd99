"""Training from start to finish: outputs, events, and variants that must not change the result."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from covergen.core.cover import PaintRequest
from covergen.diffusion.adapter_file import inspect
from covergen.diffusion.painter import Painter
from covergen.training.data.examples import Example
from covergen.training.events import (
    PairLeftOut,
    PictureEncoded,
    Sampled,
    Saved,
    StepDone,
    TrainingBegun,
    Validated,
)
from covergen.training.recipe import RECIPES
from covergen.training.report.log import read_log
from covergen.training.trainable_weights import Learner
from tests.painting import load, paint_all
from tests.plain_diffusion import difference, empty_prompt
from tests.unit.training.trainer import SAMPLING, Trainer, digest


def paint_first(painter: Painter, examples: list[Example], count: int) -> NDArray[np.uint8]:
    requests = [PaintRequest(vector=examples[i].vector, seed=i) for i in range(count)]
    return paint_all(painter, requests, SAMPLING)


def sheet_of(trainer: Trainer) -> NDArray[np.uint8]:
    with Image.open(trainer.emitted(Sampled)[-1].path) as image:
        return np.asarray(image)


def test_outputs_and_events(trainer: Trainer, examples: list[Example]) -> None:
    unusable = replace(examples[9], vector=np.full(512, np.nan, np.float32))
    trained = trainer([*examples[:9], unusable], validation=0.3, validate_every=3, sample_every=4)
    (start,) = trainer.emitted(TrainingBegun)
    assert (start.step, start.steps, start.precision, start.processes) == (0, 4, "fp32", 1)
    assert start.pairs + start.validation_pairs == 9
    for kind, steps in {
        StepDone: [1, 2, 3, 4],
        Saved: [2, 4],
        Validated: [3, 4],
        Sampled: [4],
    }.items():
        assert [event.step for event in trainer.emitted(kind)] == steps
    for event in (*trainer.emitted(Saved), *trainer.emitted(Sampled)):
        assert event.path.is_file()
    assert (trained.steps, trained.left_out) == (4, 1)
    assert trained.loss == pytest.approx(np.mean(list(trainer.losses.values())))
    assert trained.validation_loss == trainer.emitted(Validated)[-1].loss
    assert digest(trained.adapter) == digest(trainer.emitted(Saved)[-1].path)
    assert sheet_of(trainer).shape == (64, 64 * min(4, start.validation_pairs), 3)
    logged = [event for event in trainer.events if not isinstance(event, PictureEncoded)]
    assert len(trainer.emitted(PairLeftOut)) == 1
    assert read_log(trainer.output / "log.jsonl") == logged


def test_adapter_metadata(whole: Trainer) -> None:
    info = inspect(whole.output / "adapter.safetensors")
    assert (info.projection, info.tokens, info.d_audio) == ("tokens", 7, 512)  # 7 divides 77
    assert (info.rank, info.alpha, info.empty_prompt) == (4, 4, "plain")
    assert (info.title, info.base, info.clap) == ("Mine", "tiny/base", "tiny/clap")
    assert (info.training["step"], info.training["learning_rate"]) == (4, 1e-2)


@pytest.mark.parametrize("recipe", ["default", "reference"])
def test_guidance_uses_the_empty_prompt_of_the_training(
    recipe: str, trainer: Trainer, sd1: Path, examples: list[Example]
) -> None:
    trainer.recipe = replace(
        RECIPES[recipe], resolution=64, max_steps=1, sample_every=None, validation=0.0
    )
    painter = load(sd1, trainer(examples).adapter)
    masked = recipe == "reference"
    assert torch.equal(painter.unconditional, empty_prompt(sd1, masked=masked))
    (picture,) = paint_first(painter, examples, 1)
    assert picture.shape == (64, 64, 3)


def test_samples_match_pictures_from_the_saved_adapter(
    trainer: Trainer, sd1: Path, examples: list[Example]
) -> None:
    """Samples use unmerged averaged weights, the saved adapter is merged. Empty cells are white."""
    trained = trainer(examples[:5], sample_every=4, ema=0.5)
    pictures = paint_first(load(sd1, trained.adapter), examples, 2)
    sheet = sheet_of(trainer)
    assert sheet.shape == (128, 256, 3)
    assert difference(sheet[:64, :64], pictures[0]) <= 1
    assert difference(sheet[:64, 64:128], pictures[1]) <= 1
    assert (sheet[64:, 64:] == 255).all()


def test_only_the_adapter_changes_and_its_average_is_saved(
    trainer: Trainer, sd1: Path, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moving average is recomputed from the weights after each step."""
    history: list[list[Tensor]] = []
    unets: list[UNet2DConditionModel] = []
    update = Learner.update

    def record(learner: Learner) -> None:
        unets.append(learner.unet)
        if not history:
            history.append([p.detach().clone() for p in learner.parameters])
        update(learner)
        history.append([p.detach().clone() for p in learner.parameters])

    monkeypatch.setattr(Learner, "update", record)
    trained = trainer(examples, ema=0.3, checkpoint_every=1, validation=0.3, validate_every=1)
    average = history[0]
    for step, weights in enumerate(history[1:], start=1):
        decay = min(0.3, (1 + step) / (10 + step))
        average = [decay * a + (1 - decay) * w for a, w in zip(average, weights, strict=True)]
    saved = sorted(float(t.double().sum()) for t in load_file(trained.adapter).values())
    assert saved == pytest.approx(sorted(float(a.double().sum()) for a in average), abs=1e-5)

    found = {k.replace(".base_layer", ""): v for k, v in unets[0].state_dict().items()}
    before = UNet2DConditionModel.from_pretrained(sd1 / "unet").state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in before.items())


def test_training_reduces_the_loss(trainer: Trainer, examples: list[Example]) -> None:
    trainer(
        examples, max_steps=24, batch_size=10, ema=None, condition_dropout=0.0,
        checkpoint_every=24, min_snr_gamma=None,
    )  # fmt: skip
    losses = list(trainer.losses.values())
    assert np.mean(losses[-6:]) < 0.9 * np.mean(losses[:6])


@pytest.mark.parametrize(
    ("changes", "tolerance"),
    [
        ({"batch_size": 1, "accumulation": 3}, 1e-5),
        ({"gradient_checkpointing": True}, 1e-6),
        ({"precision": "bf16"}, 0.05),
        ({"precision": "fp16"}, 0.05),
    ],
)
def test_losses_do_not_depend_on_memory_settings_or_precision(
    changes: dict[str, Any],
    tolerance: float,
    whole: Trainer,
    trainer: Trainer,
    examples: list[Example],
) -> None:
    trained = trainer(examples, **changes)
    assert trainer.losses == pytest.approx(whole.losses, rel=tolerance)
    assert trainer.emitted(TrainingBegun)[0].precision == changes.get("precision", "fp32")
    assert {tensor.dtype for tensor in load_file(trained.adapter).values()} == {torch.float32}


def test_v_prediction_and_unusual_sizes(sd2: Path, tmp_path: Path, examples: list[Example]) -> None:
    trainer = Trainer(sd2, tmp_path / "out")
    trained = trainer(examples, sample_every=4, crop="random")
    assert inspect(trained.adapter).tokens == 8  # divides 16 positions
    assert all(np.isfinite(list(trainer.losses.values())))


def test_events_are_written_to_tensorboard(
    trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, float, int]] = []

    class SummaryWriter:
        def __init__(self, folder: Path, purge_step: int) -> None:
            calls.append((folder.name, 0, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            calls.append((name, value, step))

        def close(self) -> None:
            calls.append(("closed", 0, 0))

    module: Any = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    trainer(examples, max_steps=1, validation=0.3)
    assert calls == [
        ("tensorboard", 0, 1),
        ("loss", trainer.emitted(StepDone)[0].loss, 1),
        ("learning rate", 1e-2, 1),
        ("validation loss", trainer.emitted(Validated)[0].loss, 1),
        ("closed", 0, 0),
    ]
