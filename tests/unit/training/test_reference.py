"""The reference recipe, compared with a reimplementation of art-from-audio's training script."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.optimization import get_scheduler
from numpy.typing import NDArray
from peft import LoraConfig
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from covergen.training import loop
from covergen.training.denoising import Draws, draw
from covergen.training.events import StepDone
from covergen.training.examples import Example
from covergen.training.learner import Learner
from covergen.training.recipe import RECIPES
from tests.unit.training.trainer import Trainer

STEPS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The inputs and results of one step."""

    indices: NDArray[np.intp]
    draws: Draws
    gradients: list[Tensor]
    weights: list[Tensor]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """The steps of the trainings in a test."""
    steps: list[Step] = []
    drawn: list[Draws] = []
    batches: list[NDArray[np.intp]] = []
    batch, update = loop._batch, Learner.update

    def record_draw(*args: Any, **options: Any) -> Draws:
        drawn.append(draw(*args, **options))
        return drawn[-1]

    def record_batch(*args: Any) -> NDArray[np.intp]:
        batches.append(batch(*args))
        return batches[-1]

    def record_update(learner: Learner) -> None:
        gradients = [torch.clone(p.grad) for p in learner.parameters if p.grad is not None]
        update(learner)
        weights = [p.detach().clone() for p in learner.parameters]
        steps.append(
            Step(indices=batches[-1], draws=drawn[-1], gradients=gradients, weights=weights)
        )

    monkeypatch.setattr(loop, "draw", record_draw)
    monkeypatch.setattr(loop, "_batch", record_batch)
    monkeypatch.setattr(Learner, "update", record_update)
    return steps


class Reference:
    """The reference's training script, with random numbers passed in."""

    def __init__(self, base: Path, steps: int) -> None:
        self.vae = AutoencoderKL.from_pretrained(base / "vae").requires_grad_(False)
        self.unet = UNet2DConditionModel.from_pretrained(base / "unet").requires_grad_(False)
        self.scheduler = DDPMScheduler.from_pretrained(base / "scheduler")
        torch.manual_seed(0)
        self.unet.add_adapter(
            LoraConfig(
                r=4,
                lora_alpha=4,
                init_lora_weights="gaussian",
                target_modules=["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out"],
            )
        )
        self.projection = nn.Linear(512, self.unet.config.cross_attention_dim)
        self.parameters = [p for p in self.unet.parameters() if p.requires_grad]
        self.parameters += list(self.projection.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-4)
        self.rates = get_scheduler(
            "cosine", self.optimizer, num_warmup_steps=0, num_training_steps=steps
        )
        self.unet.train()

    def step(self, examples: list[Example], draws: Draws) -> tuple[float, float, list[Tensor]]:
        """Return the loss, the learning rate, and the gradients before clipping."""
        pixels = torch.stack([self.pixels(example.image) for example in examples])
        vectors = torch.stack([torch.from_numpy(example.vector)[None] for example in examples])
        latent_noise, noise = draws.noise.unbind(1)
        with torch.no_grad():
            dist = self.vae.encode(pixels).latent_dist
            latents = (dist.mean + dist.std * latent_noise) * self.vae.config.scaling_factor
        noisy = self.scheduler.add_noise(latents, noise, draws.timesteps)
        tokens = self.projection(vectors)
        predicted = self.unet(noisy, draws.timesteps, encoder_hidden_states=tokens).sample
        loss = functional.mse_loss(predicted, noise)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        gradients = [p.grad.clone() for p in self.parameters]
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        rate = self.rates.get_last_lr()[0]
        self.optimizer.step()
        self.rates.step()
        return loss.item(), rate, gradients

    def pixels(self, path: Path) -> Tensor:
        image = Image.open(path).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)
        levels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        return (levels - 0.5) / 0.5


def assert_equal(found: list[Tensor], expected: list[Tensor]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(
            one, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()) + 1e-12
        )


def test_steps_match_the_reference(
    trainer: Trainer, sd1: Path, examples: list[Example], recorded: list[Step]
) -> None:
    trainer.recipe = RECIPES["reference"]
    # Three epochs of one step each, at 64 pixels for speed.
    trainer(examples, resolution=64, epochs=STEPS)
    reference = Reference(sd1, STEPS)
    events = trainer.emitted(StepDone)
    assert len(recorded) == len(events) == STEPS
    for step, event in zip(recorded, events, strict=True):
        assert sorted(step.indices) == list(range(len(examples)))
        chosen = [examples[index] for index in step.indices]
        loss, rate, gradients = reference.step(chosen, step.draws)
        assert event.loss == pytest.approx(loss, rel=1e-5)
        assert event.rate == pytest.approx(rate, rel=1e-12)
        assert_equal(step.gradients, gradients)
        for one, other in zip(step.weights, reference.parameters, strict=True):
            # Adam amplifies rounding errors where a gradient is almost zero.
            assert float((one - other.detach()).abs().mean()) < 1e-3 * rate
            other.data.copy_(one)  # so that differences do not accumulate


def test_the_comparison_detects_another_crop(
    trainer: Trainer, sd1: Path, examples: list[Example], recorded: list[Step]
) -> None:
    trainer.recipe = RECIPES["reference"]
    trainer(examples, resolution=64, max_steps=1, crop="center")
    chosen = [examples[index] for index in recorded[0].indices]
    _, _, gradients = Reference(sd1, 1).step(chosen, recorded[0].draws)
    with pytest.raises(AssertionError):
        assert_equal(recorded[0].gradients, gradients)


def test_reference_settings() -> None:
    recipe = RECIPES["reference"]
    assert (recipe.projection, recipe.tokens, recipe.rank) == ("linear", 1, 4)
    assert (recipe.batch_size, recipe.epochs, recipe.resolution) == (32, 30, 512)
    assert (recipe.learning_rate, recipe.crop, recipe.clip) == (1e-4, "stretch", 1.0)
    assert (recipe.checkpoint_every, recipe.checkpoint_unit) == (10, "epochs")
    assert (recipe.condition_dropout, recipe.min_snr_gamma, recipe.ema) == (0.0, None, None)
    assert recipe.steps(65) == 90
