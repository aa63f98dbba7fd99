"""The training objective, compared with diffusers and manual calculations."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from torch import Tensor, nn

from covergen.core.errors import ModelError
from covergen.diffusion.base_config import read_config
from covergen.diffusion.load_base import encode_prompts
from covergen.diffusion.projection import make_projection
from covergen.training.denoising import (
    Draws,
    NoiseSchedule,
    denoising_losses,
    draw,
    make_tokens,
    read_noise_schedule,
)

SHAPE = (3, 4, 4)
VAE_CONFIG = {"scaling_factor": 0.25, "shift_factor": 0.5}


class ConstantUNet(nn.Module):
    """Predicts 0.1 everywhere, and records its input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, 3, 1)
        self.noisy = torch.empty(0)

    def forward(self, noisy: Tensor, *_: Any, **__: Any) -> tuple[Tensor]:
        self.noisy = noisy.contiguous()
        return (torch.full_like(noisy, 0.1),)


def make_draws(timesteps: list[int]) -> Draws:
    seeds = [(0, number) for number in range(len(timesteps))]
    drawn = draw(seeds, SHAPE, dropout=0.0, timesteps=1000)
    return Draws(
        positions=drawn.positions,
        dropped=drawn.dropped,
        timesteps=torch.tensor(timesteps),
        noise=drawn.noise,
    )


def losses(
    schedule: NoiseSchedule, draws: Draws, gamma: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The losses, the UNet's input, and the sampled latents calculated by hand."""
    mean = torch.linspace(-2, 2, len(draws.timesteps) * 48).view(-1, *SHAPE)
    deviation = torch.full_like(mean, 0.3)
    latents = torch.stack([mean, deviation], 1)
    tokens = torch.zeros(len(mean), 1, 8)
    unet: Any = ConstantUNet()
    found = denoising_losses(unet, VAE_CONFIG, schedule, latents, tokens, None, draws, gamma=gamma)
    return found, unet.noisy, (mean + 0.3 * draws.noise[:, 0] - 0.5) * 0.25


@pytest.mark.parametrize("v_prediction", [False, True])
def test_loss_is_the_squared_error_of_the_prediction(v_prediction: bool) -> None:
    scheduler = DDPMScheduler(beta_schedule="scaled_linear")
    schedule = NoiseSchedule(alphas_cumprod=scheduler.alphas_cumprod, v_prediction=v_prediction)
    draws = make_draws([0, 17, 500, 999])
    found, noisy, latents = losses(schedule, draws, None)
    noise = draws.noise[:, 1]
    torch.testing.assert_close(noisy, scheduler.add_noise(latents, noise, draws.timesteps))
    velocity = scheduler.get_velocity(latents, noise, draws.timesteps)
    target = velocity if v_prediction else noise
    torch.testing.assert_close(found, (target - 0.1).square().mean((1, 2, 3)))


def test_min_snr_weights() -> None:
    """Gamma is 5; signal shares of 0.9, 0.5 and 0 are signal-to-noise ratios of 9, 1 and 0."""

    def weights(alphas: Tensor, timesteps: list[int], *, v_prediction: bool) -> Tensor:
        schedule = NoiseSchedule(alphas_cumprod=alphas, v_prediction=v_prediction)
        draws = make_draws(timesteps)
        return losses(schedule, draws, 5.0)[0] / losses(schedule, draws, None)[0]

    alphas = torch.tensor([0.9, 0.5, 0.0])
    for v_prediction, expected in ((False, [5 / 9, 1.0, 1.0]), (True, [5 / 10, 1.0, 1.0])):
        found = weights(alphas, [0, 1, 2], v_prediction=v_prediction)
        torch.testing.assert_close(found, torch.tensor(expected))

    scheduler = DDPMScheduler(beta_schedule="scaled_linear")
    timesteps = [0, 1, 10, 100, 400, 700, 999]
    snr = compute_snr(scheduler, torch.tensor(timesteps))
    found = weights(scheduler.alphas_cumprod, timesteps, v_prediction=False)
    torch.testing.assert_close(found, snr.clamp(max=5.0) / snr)


def test_random_numbers_depend_only_on_the_seed() -> None:
    seeds = [(0, 0, step, slot) for step in range(2) for slot in range(3)]
    drawn = draw(seeds, SHAPE, dropout=0.5, timesteps=1000)
    assert drawn.noise.shape == (6, 2, *SHAPE)
    for number, seed in enumerate(seeds):
        alone = draw([seed], SHAPE, dropout=0.5, timesteps=1000)
        assert torch.equal(alone.noise[0], drawn.noise[number])
        assert alone.timesteps[0] == drawn.timesteps[number]
        assert alone.dropped[0] == drawn.dropped[number]
    assert len({float(noise.sum()) for noise in drawn.noise.flatten(0, 1)}) == 12


def test_distributions_of_random_numbers() -> None:
    drawn = draw([(1, i) for i in range(4000)], (1, 4, 4), dropout=0.25, timesteps=10)
    assert float(drawn.dropped.float().mean()) == pytest.approx(0.25, abs=0.03)
    assert np.bincount(drawn.timesteps, minlength=10) == pytest.approx(np.full(10, 400), abs=80)
    assert float(drawn.noise.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(drawn.noise.std()) == pytest.approx(1.0, abs=0.02)
    assert 0 <= drawn.positions.min() < 0.01
    assert 0.99 < drawn.positions.max() < 1


@pytest.mark.parametrize("count", [8, 5])
def test_dropped_conditions_are_replaced_with_the_empty_prompt(sd2: Path, count: int) -> None:
    (empty,) = encode_prompts(read_config(sd2), [""], masked=False)
    projection = make_projection("tokens", d_audio=6, d_cross=32, tokens=count)
    vectors = torch.randn(3, 6)
    tokens, mask = make_tokens(projection, vectors, empty, torch.tensor([True, False, True]))
    assert torch.equal(tokens[0], empty[0])
    assert torch.equal(tokens[2], empty[0])
    filled = 16 // count * count
    expected = projection(vectors)[1].repeat(16 // count, 1)
    assert torch.equal(tokens[1, :filled], expected)
    if filled == 16:
        assert mask is None
    else:
        assert mask is not None
        assert mask.sum(1).tolist() == [16, filled, 16]

    tokens, mask = make_tokens(projection, vectors, empty, torch.zeros(3, dtype=torch.bool))
    assert torch.equal(tokens, projection(vectors))
    assert mask is None


def test_schedule_is_read_from_the_base(sd1: Path, sd2: Path) -> None:
    first, second = (read_noise_schedule(read_config(base)) for base in (sd1, sd2))
    assert (first.v_prediction, second.v_prediction) == (False, True)
    expected = DDPMScheduler.from_pretrained(sd1 / "scheduler").alphas_cumprod
    assert torch.equal(first.alphas_cumprod, expected)
    other: Any = SimpleNamespace(folder=sd1, scheduler={"prediction_type": "sample"})
    with pytest.raises(ModelError, match="predicts epsilon or v_prediction, found sample"):
        read_noise_schedule(other)
