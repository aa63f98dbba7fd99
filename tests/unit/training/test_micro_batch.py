"""Steps that do not fit in memory are computed in parts, with the same result up to rounding."""

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor

from covergen.training import micro_batch as memory
from covergen.training import train_step
from covergen.training.data.examples import Example
from covergen.training.events import MicroBatchReduced, TrainingBegun, Validated
from covergen.training.micro_batch import choose_micro_batch
from covergen.training.recipe import Recipe
from covergen.training.trainable_weights import Learner
from tests.unit.training.trainer import Trainer

GB = 10**9
# Stable Diffusion 1.5 at 512 pixels in bf16, measured.
PAIR, CHECKPOINTED_PAIR = 0.9 * GB, 0.28 * GB


@pytest.fixture(scope="module")
def sd15() -> UNet2DConditionModel:
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
    return unet.to(torch.bfloat16)


@pytest.mark.parametrize(
    ("free", "parts", "checkpointing"),
    [
        (24, 1, False),
        (11, 2, False),
        (5, 4, False),  # a card of 8 GB, with the weights loaded
        (0.9, 8, True),  # one of 4 GB
    ],
)
def test_batch_is_split_to_fit_in_memory(
    free: float,
    parts: int,
    checkpointing: bool,
    sd15: UNet2DConditionModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: int(free * GB))
    sd15.disable_gradient_checkpointing()
    chosen = choose_micro_batch(Recipe(batch_size=16), sd15, (4, 64, 64), processes=1)
    assert chosen.size <= 16
    assert -(-16 // chosen.size) <= 2 * parts
    assert chosen.size * (CHECKPOINTED_PAIR if checkpointing else PAIR) < free * GB
    assert chosen.checkpointing == sd15.is_gradient_checkpointing == checkpointing
    share = choose_micro_batch(Recipe(batch_size=16), sd15, (4, 64, 64), processes=8)
    assert share.size <= 2


def out_of_memory() -> torch.OutOfMemoryError:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


@pytest.mark.parametrize(
    ("fits", "sizes"), [(2, [1]), (1, [1]), (0, [1, 1])], ids=["two", "one", "checkpointed"]
)
def test_losses_do_not_depend_on_what_fits_in_memory(
    fits: int,
    sizes: list[int],
    whole: Trainer,
    trainer: Trainer,
    examples: list[Example],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Steps have three pairs. The memory shrinks before the third step."""
    compute = train_step.denoising_losses

    def limited(unet: UNet2DConditionModel, *arguments: Any, **options: Any) -> Tensor:
        pairs = len(arguments[2])
        if len(trainer.losses) >= 2 and pairs > fits and not unet.is_gradient_checkpointing:
            raise out_of_memory()
        return compute(unet, *arguments, **options)

    monkeypatch.setattr(train_step, "denoising_losses", limited)
    trained = trainer(examples)
    reduced = trainer.emitted(MicroBatchReduced)
    assert [event.micro_batch for event in reduced] == sizes
    assert {event.step for event in reduced} == {2}
    assert reduced[-1].gradient_checkpointing == (fits == 0)
    assert trainer.losses == pytest.approx(whole.losses, rel=1e-5)
    found = load_file(trained.adapter)
    for name, expected in load_file(whole.output / "adapter.safetensors").items():
        torch.testing.assert_close(found[name], expected, rtol=1e-3, atol=1e-5)


def test_gradients_of_a_failed_attempt_are_discarded(
    whole: Trainer, trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    backward, calls = Learner.backward, 0

    def fail_late(learner: Learner, loss: Tensor) -> None:
        nonlocal calls
        backward(learner, loss)
        calls += 1
        if calls == 2:
            raise out_of_memory()

    monkeypatch.setattr(Learner, "backward", fail_late)
    trainer(examples)
    assert trainer.losses == pytest.approx(whole.losses, rel=1e-5)


def test_validation_runs_in_parts_too(
    trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer(examples, validation=0.3, max_steps=1)
    expected = trainer.emitted(Validated)[0].loss
    compute = train_step.denoising_losses

    def limited(*arguments: Any, **options: Any) -> Tensor:
        if not torch.is_grad_enabled() and len(arguments[3]) > 1:
            raise out_of_memory()
        return compute(*arguments, **options)

    monkeypatch.setattr(train_step, "denoising_losses", limited)
    again = Trainer(trainer.base, trainer.output.with_name("again"))
    again(examples, validation=0.3, max_steps=1)
    assert again.emitted(Validated)[0].loss == pytest.approx(expected, rel=1e-5)


def test_checkpointing_is_never_enabled_if_refused(
    trainer: Trainer, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        train_step, "denoising_losses", lambda *_, **__: (_ for _ in ()).throw(out_of_memory())
    )
    with pytest.raises(Exception, match="not even one pair fits"):
        trainer(examples, gradient_checkpointing=False)
    assert not any(event.gradient_checkpointing for event in trainer.emitted(MicroBatchReduced))
    assert not trainer.emitted(TrainingBegun)[0].gradient_checkpointing
