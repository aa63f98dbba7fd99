"""Reused deep features, compared with the full UNet."""

from typing import TYPE_CHECKING

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from covergen.diffusion.feature_reuse import ReusingUNet

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["sd1", "sd2"])
def unet(request: pytest.FixtureRequest) -> UNet2DConditionModel:
    """One UNet with and one without attention in the outermost block."""
    base: Path = request.getfixturevalue(request.param)
    return UNet2DConditionModel.from_pretrained(base / "unet").eval().requires_grad_(False)


def predict(unet: UNet2DConditionModel | ReusingUNet, inputs: Tensor, time: int = 500) -> Tensor:
    tokens = torch.ones(len(inputs), 3, 32)
    output: Tensor = unet(inputs, time, encoder_hidden_states=tokens, return_dict=False)[0]
    return output


def latents(unet: UNet2DConditionModel, count: int) -> Tensor:
    size = unet.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, unet.config.in_channels, height, width, generator=generator)


def test_full_passes_are_equal_to_the_unet(unet: UNet2DConditionModel) -> None:
    reusing, inputs = ReusingUNet(unet, 2), latents(unet, 2)
    for time in (900, 500):
        assert torch.equal(predict(reusing, inputs, time), predict(unet, inputs, time))
        predict(reusing, inputs, time - 100)


def test_shallow_passes_reuse_deep_features(unet: UNet2DConditionModel) -> None:
    reusing, inputs = ReusingUNet(unet, 3), latents(unet, 4)
    full = predict(reusing, inputs)
    torch.testing.assert_close(predict(reusing, inputs[2:]), full[2:])  # the batch may shrink
    other = predict(reusing, 2 * inputs)
    assert not torch.allclose(other, full)
    assert not torch.allclose(other, predict(unet, 2 * inputs))


def test_number_of_full_passes(unet: UNet2DConditionModel) -> None:
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    hook = unet.mid_block.register_forward_hook(count)
    reusing = ReusingUNet(unet, 3)
    for _ in range(7):
        predict(reusing, latents(unet, 1))
    assert passes == 3
    predict(reusing, latents(unet, 2))
    assert passes == 4, "a larger batch needs a full pass"
    hook.remove()
