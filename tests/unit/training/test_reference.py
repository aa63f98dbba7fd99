"""The reference recipe's steps, held to the reference's own way in plain torch, diffusers, peft."""

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
    """What a step was made of: its pairs, chance, and what came out."""

    picks: NDArray[np.intp]
    draws: Draws
    gradients: list[Tensor]
    weights: list[Tensor]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """Fills with the steps that are made."""
    steps: list[Step] = []
    drawn: list[Draws] = []
    picked: list[NDArray[np.intp]] = []
    batch, update = loop._batch, Learner.update

    def spying_draw(*args: Any, **options: Any) -> Draws:
        drawn.append(draw(*args, **options))
        return drawn[-1]

    def spying_batch(*args: Any) -> NDArray[np.intp]:
        picked.append(batch(*args))
        return picked[-1]

    def spying_update(learner: Learner) -> None:
        gradients = [torch.clone(p.grad) for p in learner.parameters if p.grad is not None]
        update(learner)
        weights = [p.detach().clone() for p in learner.parameters]
        steps.append(Step(picks=picked[-1], draws=drawn[-1], gradients=gradients, weights=weights))

    monkeypatch.setattr(loop, "draw", spying_draw)
    monkeypatch.setattr(loop, "_batch", spying_batch)
    monkeypatch.setattr(Learner, "update", spying_update)
    return steps


class Reference:
    """The reference's training script, with chance handed in."""

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
        """Loss, learning rate, and gradients before they are clipped."""
        pixels = torch.stack([self.pixels(example.image) for example in examples])
        vectors = torch.stack([torch.from_numpy(example.vector)[None] for example in examples])
        own_noise, noise = draws.noise.unbind(1)
        with torch.no_grad():
            found = self.vae.encode(pixels).latent_dist
            latents = (found.mean + found.std * own_noise) * self.vae.config.scaling_factor
        noisy = self.scheduler.add_noise(latents, noise, draws.times)
        tokens = self.projection(vectors)
        predicted = self.unet(noisy, draws.times, encoder_hidden_states=tokens).sample
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


def test_steps_are_the_references(
    trainer: Trainer, sd1: Path, examples: list[Example], made: list[Step]
) -> None:
    trainer.recipe = RECIPES["reference"]
    # Three epochs of one step each; 512 pixels take long.
    trainer(examples, resolution=64, epochs=STEPS)
    reference = Reference(sd1, STEPS)
    told = trainer.of(StepDone)
    assert len(made) == len(told) == STEPS
    for step, event in zip(made, told, strict=True):
        assert sorted(step.picks) == list(range(len(examples)))
        chosen = [examples[pick] for pick in step.picks]
        loss, rate, gradients = reference.step(chosen, step.draws)
        assert event.loss == pytest.approx(loss, rel=1e-5)
        assert event.rate == pytest.approx(rate, rel=1e-12)
        assert_equal(step.gradients, gradients)
        for one, other in zip(step.weights, reference.parameters, strict=True):
            # Where a gradient is next to nothing, Adam makes a step of its rounding errors.
            assert float((one - other.detach()).abs().mean()) < 1e-3 * rate
            other.data.copy_(one)  # else these add up


def test_the_oracle_would_notice(
    trainer: Trainer, sd1: Path, examples: list[Example], made: list[Step]
) -> None:
    """Another loss, another crop: gradients are no longer equal."""
    trainer.recipe = RECIPES["reference"]
    trainer(examples, resolution=64, max_steps=1, crop="center")
    chosen = [examples[pick] for pick in made[0].picks]
    _, _, gradients = Reference(sd1, 1).step(chosen, made[0].draws)
    with pytest.raises(AssertionError):
        assert_equal(made[0].gradients, gradients)


def test_its_settings() -> None:
    recipe = RECIPES["reference"]
    assert (recipe.projection, recipe.tokens, recipe.rank) == ("linear", 1, 4)
    assert (recipe.batch_size, recipe.epochs, recipe.resolution) == (32, 30, 512)
    assert (recipe.learning_rate, recipe.crop, recipe.clip) == (1e-4, "stretch", 1.0)
    assert (recipe.checkpoint_every, recipe.checkpoint_unit) == (10, "epochs")
    assert (recipe.condition_dropout, recipe.min_snr_gamma, recipe.ema) == (0.0, None, None)
    assert recipe.steps(65) == 90
