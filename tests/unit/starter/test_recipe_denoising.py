"""The denoising loss and sampling, with an ideal model of a single picture."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from covergen.starter.recipe.denoising import denoising_loss, paint_latents
from covergen.starter.recipe.models import make_scheduler

PICTURE = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(7))


class IdealUNet:
    """A UNet that predicts the exact velocity for one picture, plus a constant error."""

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


def test_the_noise_schedule_has_zero_terminal_snr() -> None:
    assert float(make_scheduler().alphas_cumprod[-1]) < 1e-6


@pytest.mark.parametrize("steps", [6, 20])
def test_sampling_recovers_the_picture(steps: int) -> None:
    tokens = torch.zeros(2, 5, 8)
    found = paint_latents(
        IdealUNet(), make_scheduler(), tokens, tokens[:1], guidance=3.0, steps=steps, seed=0
    )
    assert torch.allclose(found, PICTURE.expand(2, -1, -1, -1), atol=2e-3)


def test_the_loss_is_the_squared_error_of_the_velocity() -> None:
    latents = PICTURE.expand(64, -1, -1, -1)
    tokens = torch.zeros(64, 5, 8)
    times = torch.linspace(1, 998, 64).long()
    right = denoising_loss(IdealUNet(), make_scheduler(), latents, tokens, times=times)
    assert right == pytest.approx(0.0, abs=1e-3)
    wrong = denoising_loss(IdealUNet(0.5), make_scheduler(), latents, tokens, times=times)
    assert wrong == pytest.approx(0.25, abs=1e-2)
