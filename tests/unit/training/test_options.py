"""Options of a training beyond the two recipes: dropout, flips, learning rates, optimizers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from covergen.core.errors import Interrupted, UsageError
from covergen.diffusion.adapter_file import inspect, read_tensors
from covergen.training.data.examples import Example
from covergen.training.events import StepDone
from covergen.training.optimizer import check_optimizer
from covergen.training.recipe import Recipe
from covergen.training.trainable_weights import Initial, Learner
from tests.unit.training.trainer import Trainer, stop_at


def test_lora_dropout_does_not_depend_on_parts_or_interruptions(
    whole: Trainer, trainer: Trainer, examples: list[Example], tmp_path: Path
) -> None:
    """B is zero at first, so that the first loss is the same without dropout."""
    trainer(examples, lora_dropout=0.4)
    assert trainer.losses[1] == pytest.approx(whole.losses[1], rel=1e-6)
    assert trainer.losses[4] != pytest.approx(whole.losses[4], rel=1e-6)

    parts = Trainer(trainer.base, tmp_path / "parts")
    parts(examples, lora_dropout=0.4, batch_size=1, accumulation=3, gradient_checkpointing=True)
    assert parts.losses == pytest.approx(trainer.losses, rel=1e-5)

    stopped = Trainer(trainer.base, tmp_path / "stopped")
    with pytest.raises(Interrupted):
        stopped(examples, lora_dropout=0.4, check_interrupted=stop_at(len(examples) + 3))
    stopped(examples, lora_dropout=0.4, resume=True)
    assert stopped.losses == trainer.losses
    assert stopped.adapter_digest == trainer.adapter_digest


def make_learner(base: Path, initial: Initial | None = None, **changes: Any) -> Learner:
    return Learner(
        UNet2DConditionModel.from_pretrained(base / "unet"),
        replace(Recipe(), **changes),
        d_audio=512,
        tokens=7,
        steps=2,
        scaled=False,
        initial=initial,
    )


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_lora_dropout_keeps_the_mean_of_its_inputs(share: float, sd1: Path) -> None:
    learner = make_learner(sd1, lora_dropout=share)
    layer = learner.dropout._layers[0]
    learner.dropout.seed([1, 2])
    inputs = torch.ones(2, 64, 64)
    dropped = layer.train()(inputs)
    assert float((dropped == 0).float().mean()) == pytest.approx(share, abs=0.02)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.05)
    assert not torch.equal(dropped[0], dropped[1])
    assert not torch.equal(dropped, learner.dropout._layers[1].train()(inputs))
    assert torch.equal(layer.eval()(inputs), inputs)


def test_the_projection_has_its_own_learning_rate(
    trainer: Trainer, examples: list[Example], sd1: Path
) -> None:
    changes: dict[str, Any] = {"ema": None, "warm_up_steps": 0, "weight_decay": 0.0}
    learner = make_learner(sd1, seed=trainer.recipe.seed)
    before = {"lora": 0.0, "projection": learner.projection.state_dict()["weight"]}
    trained = trainer(examples, projection_lr=1e-7, max_steps=1, **changes)
    tensors = read_tensors(inspect(trained.adapter))
    moved = (tensors["audio_projection.weight"] - before["projection"]).abs().max()
    lora = max(float(t.abs().max()) for name, t in tensors.items() if ".lora_B." in name)
    assert float(moved) == pytest.approx(1e-7, rel=0.5)  # Adam's first step is the learning rate
    assert lora == pytest.approx(trainer.recipe.learning_rate, rel=0.01)
    assert trainer.emitted(StepDone)[0].rate == trainer.recipe.learning_rate


def test_trainings_from_before_a_setting_existed_can_be_resumed(
    copied: Trainer, examples: list[Example]
) -> None:
    """Their checkpoints lack it, and had its default."""
    import shutil

    from covergen.training.checkpoints import find_checkpoint, save_checkpoint

    folder = copied.output / "checkpoints"
    saved, _ = find_checkpoint(folder)
    assert saved is not None
    metadata = dict(saved.metadata)
    del metadata["init"]
    metadata["recipe"] = {k: v for k, v in metadata["recipe"].items() if k != "lora_dropout"}
    save_checkpoint(
        folder,
        4,
        saved.tensors,
        metadata,
        keep=None,
        save_adapter=lambda path: shutil.copy(copied.output / "adapter.safetensors", path),
    )
    copied(examples, resume=True)


def test_initial_lora_is_used(sd1: Path) -> None:
    source = make_learner(sd1, seed=1)
    lora = {
        name: torch.full_like(tensor, 0.5)
        for name, tensor in source.unet.state_dict().items()
        if ".lora_" in name
    }
    learner = make_learner(
        sd1, Initial(projection=source.projection.state_dict(), lora=lora, source="x")
    )
    trained = {name: t for name, t in learner.unet.state_dict().items() if ".lora_" in name}
    assert all(bool((tensor == 0.5).all()) for tensor in trained.values())
    assert all(p.requires_grad for n, p in learner.unet.named_parameters() if ".lora_" in n)
    found: Tensor = learner.projection.state_dict()["weight"]
    assert torch.equal(found, source.projection.state_dict()["weight"])


@pytest.mark.parametrize(
    ("device", "problem"),
    [("cpu", "needs a CUDA device"), ("cuda", "bitsandbytes, which is not installed")],
)
def test_8_bit_adamw_is_refused_where_it_cannot_run(
    device: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("covergen.training.optimizer.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=problem) as caught:
        check_optimizer("adamw8bit", torch.device(device))
    assert "--optimizer adamw" in caught.value.hint
    check_optimizer("adamw", torch.device(device))
