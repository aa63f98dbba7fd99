"""Folded upsampling, compared with diffusers' layers."""

import copy

import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.models.upsampling import Upsample2D
from torch import nn

from covergen.diffusion.upsampling import fold_upsampling


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5)])
def test_folded_upsampling_is_equal_up_to_rounding(height: int, width: int) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(Upsample2D(4, use_conv=True, out_channels=6)).requires_grad_(False)
    folded = copy.deepcopy(plain)
    fold_upsampling(folded)
    inputs = torch.randn(2, 4, height, width)
    torch.testing.assert_close(folded(inputs), plain(inputs))


def test_decoder_is_equal_up_to_rounding() -> None:
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8, 16, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=4,
    )
    vae = vae.eval().requires_grad_(False)
    latents = torch.randn(1, 4, 4, 4)
    expected = vae.decode(latents).sample
    fold_upsampling(vae)
    assert not any(isinstance(layer, Upsample2D) for layer in vae.decoder.modules())
    torch.testing.assert_close(vae.decode(latents).sample, expected)


def test_other_upsampling_is_kept() -> None:
    layers = [Upsample2D(4, use_conv=True, kernel_size=1, padding=0), Upsample2D(4)]
    model = nn.Sequential(*layers)
    fold_upsampling(model)
    assert list(model) == layers
