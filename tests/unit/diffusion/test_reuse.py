"""Deep features that serve several steps, held to the UNet itself."""

from typing import TYPE_CHECKING

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from covergen.diffusion.reuse import ReusingUNet

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["sd1", "sd2"])
def unet(request: pytest.FixtureRequest) -> UNet2DConditionModel:
    """One with and one without attention in the outermost block."""
    base: Path = request.getfixturevalue(request.param)
    return UNet2DConditionModel.from_pretrained(base / "unet").eval().requires_grad_(False)


def ask(unet: UNet2DConditionModel | ReusingUNet, inputs: Tensor, time: int) -> Tensor:
    tokens = torch.ones(len(inputs), 3, 32)
    output: Tensor = unet(inputs, time, encoder_hidden_states=tokens, return_dict=False)[0]
    return output


def draw(unet: UNet2DConditionModel, count: int) -> Tensor:
    size = unet.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, unet.config.in_channels, height, width, generator=generator)


def test_a_whole_pass_is_the_unets_own(unet: UNet2DConditionModel) -> None:
    reusing, inputs = ReusingUNet(unet, 2), draw(unet, 2)
    for time in (900, 500):
        assert torch.equal(ask(reusing, inputs, time), ask(unet, inputs, time))
        ask(reusing, inputs, time - 100)


def test_where_nothing_deep_has_changed_the_output_is_the_same(unet: UNet2DConditionModel) -> None:
    reusing, inputs = ReusingUNet(unet, 3), draw(unet, 2)
    whole = ask(reusing, inputs, 500)
    torch.testing.assert_close(ask(reusing, inputs, 500), whole)
    other = ask(reusing, 2 * inputs, 500)
    assert not torch.allclose(other, whole)
    assert not torch.allclose(other, ask(unet, 2 * inputs, 500))


def test_the_last_rows_alone_are_as_they_were_among_all(unet: UNet2DConditionModel) -> None:
    reusing, inputs = ReusingUNet(unet, 2), draw(unet, 4)
    whole = ask(reusing, inputs, 500)
    torch.testing.assert_close(ask(reusing, inputs[2:], 500), whole[2:])


def test_whole_passes_are_counted(unet: UNet2DConditionModel) -> None:
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    hook = unet.mid_block.register_forward_hook(count)
    reusing = ReusingUNet(unet, 3)
    for _ in range(7):
        ask(reusing, draw(unet, 1), 500)
    assert passes == 3
    ask(reusing, draw(unet, 2), 500)
    assert passes == 4, "a batch that grows has nothing to reuse"
    hook.remove()
