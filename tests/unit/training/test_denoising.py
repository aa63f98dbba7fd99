"""The pieces of the loss, by hand and by diffusers."""

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
from covergen.diffusion.base import encode_prompts
from covergen.diffusion.base_config import read_config
from covergen.diffusion.projection import make_projection
from covergen.training.denoising import (
    Draws,
    Noise,
    denoising_losses,
    draw,
    make_tokens,
    read_noise,
)

SHAPE = (3, 4, 4)
SCALE = {"scaling_factor": 0.25, "shift_factor": 0.5}


class Wrong(nn.Module):
    """A UNet that always predicts the same; it keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, 3, 1)
        self.seen: dict[str, Any] = {}

    def forward(self, noisy: Tensor, times: Tensor, **options: Any) -> tuple[Tensor]:
        self.seen = {"noisy": noisy, "times": times, **options}
        return (torch.full_like(noisy, 0.1),)


def make_draws(times: list[int]) -> Draws:
    seeds = [(0, number) for number in range(len(times))]
    drawn = draw(seeds, SHAPE, dropout=0.0, times=1000)
    return Draws(
        places=drawn.places,
        dropped=drawn.dropped,
        times=torch.tensor(times),
        noise=drawn.noise,
    )


def losses(noise: Noise, draws: Draws, gamma: float | None) -> tuple[Tensor, Wrong, Tensor]:
    """What is found, by which UNet, and the pairs' latents as they should have been sampled."""
    mean = torch.linspace(-2, 2, len(draws.times) * 48).view(-1, *SHAPE)
    deviation = torch.full_like(mean, 0.3)
    unet: Any = Wrong()
    found = denoising_losses(
        unet,
        SCALE,
        noise,
        torch.stack([mean, deviation], 1),
        torch.zeros(len(mean), 1, 8),
        None,
        draws,
        gamma=gamma,
    )
    return found, unet, (mean + 0.3 * draws.noise[:, 0] - 0.5) * 0.25


@pytest.mark.parametrize("velocity", [False, True])
def test_the_loss_is_the_squared_error_in_what_the_base_predicts(velocity: bool) -> None:
    scheduler = DDPMScheduler(beta_schedule="scaled_linear")
    noise = Noise(signal=scheduler.alphas_cumprod, velocity=velocity)
    draws = make_draws([0, 17, 500, 999])
    found, unet, latents = losses(noise, draws, None)
    added = draws.noise[:, 1]
    noisy = scheduler.add_noise(latents, added, draws.times)
    target = scheduler.get_velocity(latents, added, draws.times) if velocity else added
    torch.testing.assert_close(unet.seen["noisy"].contiguous(), noisy)
    torch.testing.assert_close(found, (target - 0.1).square().mean((1, 2, 3)))


def test_min_snr_by_hand() -> None:
    """Shares of signal 0.9, 0.5, 0: signal-to-noise ratios 9, 1, 0; gamma 5."""
    signal = torch.tensor([0.9, 0.5, 0.0])
    draws = make_draws([0, 1, 2])
    for velocity, expected in ((False, [5 / 9, 1.0, 1.0]), (True, [5 / 10, 1.0, 1.0])):
        noise = Noise(signal=signal, velocity=velocity)
        weighted, _, _ = losses(noise, draws, 5.0)
        plain, _, _ = losses(noise, draws, None)
        torch.testing.assert_close(weighted / plain, torch.tensor(expected))


def test_min_snr_is_that_of_diffusers_scripts() -> None:
    scheduler = DDPMScheduler(beta_schedule="scaled_linear")
    times = [0, 1, 10, 100, 400, 700, 999]
    snr = compute_snr(scheduler, torch.tensor(times))
    draws = make_draws(times)
    noise = Noise(signal=scheduler.alphas_cumprod, velocity=False)
    ratio = losses(noise, draws, 5.0)[0] / losses(noise, draws, None)[0]
    torch.testing.assert_close(ratio, snr.clamp(max=5.0) / snr)


def test_chance_belongs_to_the_seed() -> None:
    seeds = [(0, 0, step, slot) for step in range(2) for slot in range(3)]
    drawn = draw(seeds, SHAPE, dropout=0.5, times=1000)
    assert drawn.noise.shape == (6, 2, *SHAPE)
    for number, seed in enumerate(seeds):
        alone = draw([seed], SHAPE, dropout=0.5, times=1000)
        assert torch.equal(alone.noise[0], drawn.noise[number])
        assert alone.times[0] == drawn.times[number]
        assert alone.dropped[0] == drawn.dropped[number]
    assert len({float(noise.sum()) for noise in drawn.noise.flatten(0, 1)}) == 12


def test_chance_is_spread_as_it_should_be() -> None:
    drawn = draw([(1, i) for i in range(4000)], (1, 4, 4), dropout=0.25, times=10)
    assert float(drawn.dropped.float().mean()) == pytest.approx(0.25, abs=0.03)
    assert np.bincount(drawn.times, minlength=10) == pytest.approx(np.full(10, 400), abs=80)
    assert float(drawn.noise.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(drawn.noise.std()) == pytest.approx(1.0, abs=0.02)
    assert 0 <= drawn.places.min() < 0.01
    assert 0.99 < drawn.places.max() < 1


@pytest.mark.parametrize("count", [8, 5])
def test_a_dropped_condition_is_the_empty_prompt_of_guidance(sd2: Path, count: int) -> None:
    config = read_config(sd2)
    (empty,) = encode_prompts(config, [""], masked=False)
    assert empty.shape == (1, 16, 32)
    projection = make_projection("tokens", d_audio=6, d_cross=32, tokens=count)
    vectors = torch.randn(3, 6)
    tokens, mask = make_tokens(projection, vectors, empty, torch.tensor([True, False, True]))
    assert torch.equal(tokens[0], empty[0])
    assert torch.equal(tokens[2], empty[0])
    heard = projection(vectors)[1]
    whole = 16 // count * count
    assert torch.equal(tokens[1, :whole], heard.repeat(16 // count, 1))
    if whole == 16:
        assert mask is None
    else:
        assert mask is not None
        assert mask.sum(1).tolist() == [16, whole, 16]


def test_without_a_drop_the_sound_stands_alone() -> None:
    projection = make_projection("tokens", d_audio=6, d_cross=32, tokens=5)
    vectors, empty = torch.randn(2, 6), torch.randn(1, 16, 32)
    tokens, mask = make_tokens(projection, vectors, empty, torch.tensor([False, False]))
    assert torch.equal(tokens, projection(vectors))
    assert mask is None


def test_a_base_tells_what_it_predicts(sd1: Path, sd2: Path) -> None:
    first, second = read_noise(read_config(sd1)), read_noise(read_config(sd2))
    assert (first.velocity, second.velocity) == (False, True)
    expected = DDPMScheduler.from_pretrained(sd1 / "scheduler").alphas_cumprod
    assert torch.equal(first.signal, expected)
    other: Any = SimpleNamespace(folder=sd1, scheduler={"prediction_type": "sample"})
    with pytest.raises(ModelError, match="predicts epsilon or v_prediction, found sample"):
        read_noise(other)
