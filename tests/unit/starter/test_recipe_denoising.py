"""Noise, loss and sampling, against a model that knows the only picture there is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from covergen.starter.recipe.denoising import denoising_loss, paint_latents
from covergen.starter.recipe.models import make_scheduler

PICTURE = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(7))


class Knowing:
    """A UNet whose velocity is right for a world of one picture, but for a constant error."""

    config = SimpleNamespace(in_channels=3, sample_size=4)
    device = torch.device("cpu")

    def __init__(self, error: float = 0.0) -> None:
        self.error = error

    def __call__(
        self, noisy: Tensor, times: Tensor, encoder_hidden_states: Tensor
    ) -> SimpleNamespace:
        assert len(encoder_hidden_states) == len(noisy)
        signal = make_scheduler().alphas_cumprod[times].reshape(-1, 1, 1, 1).sqrt()
        noise = (noisy - signal * PICTURE) / (1 - signal**2).sqrt()
        velocity = signal * noise - (1 - signal**2).sqrt() * PICTURE
        return SimpleNamespace(sample=velocity + self.error)


def test_noise_goes_down_to_no_signal_at_all() -> None:
    assert float(make_scheduler().alphas_cumprod[-1]) < 1e-6


@pytest.mark.parametrize("steps", [6, 20])
def test_sampling_finds_the_picture(steps: int) -> None:
    tokens = torch.zeros(2, 5, 8)
    found = paint_latents(
        Knowing(), make_scheduler(), tokens, tokens[:1], guidance=3.0, steps=steps, seed=0
    )
    assert torch.allclose(found, PICTURE.expand(2, -1, -1, -1), atol=2e-3)


def test_the_loss_is_the_squared_error_of_the_velocity_at_every_time() -> None:
    latents = PICTURE.expand(64, -1, -1, -1)
    tokens = torch.zeros(64, 5, 8)
    times = torch.linspace(1, 998, 64).long()
    right = denoising_loss(Knowing(), make_scheduler(), latents, tokens, times=times)
    assert right == pytest.approx(0.0, abs=1e-3)
    wrong = denoising_loss(Knowing(0.5), make_scheduler(), latents, tokens, times=times)
    assert wrong == pytest.approx(0.25, abs=1e-2)
