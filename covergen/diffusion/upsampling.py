"""Fold the upsampling of a VAE's decoder into the convolutions that follow it.

Doubling a picture's size by repeating its pixels, followed by a 3x3 convolution, is the same as one
transposed 4x4 convolution of stride 2, which needs 4/9 of the multiplications. Results are equal up
to rounding.
"""

from itertools import product

import torch
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn


def fold_upsampling(model: nn.Module) -> None:
    """Replace each upsampling layer that is followed by a 3x3 convolution."""
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, Upsample2D) and _is_foldable(layer):
                setattr(parent, name, _Upsampling(layer.conv))


def _is_foldable(layer: Upsample2D) -> bool:
    conv = getattr(layer, "conv", None)
    return (
        layer.interpolate
        and layer.norm is None
        and type(conv) is nn.Conv2d
        and (conv.kernel_size, conv.padding) == ((3, 3), (1, 1))
    )


class _Upsampling(nn.ConvTranspose2d):
    """From (B, C, h, w) to (B, C', 2h, 2w).

    Output p reads pixel (p + j - 1) // 2 with weight j. A transposed convolution reads pixel i with
    weight p - 2i + 1, which is r + 2 - j where p + j - 1 = 2i + r.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(conv.in_channels, conv.out_channels, 4, stride=2, padding=1, device="meta")
        with torch.no_grad():
            weight = conv.weight.new_zeros(conv.in_channels, conv.out_channels, 4, 4)
            for y, x in product((0, 1), repeat=2):
                weight[:, :, y : y + 3, x : x + 3] += conv.weight.transpose(0, 1).flip(2, 3)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = conv.bias

    def forward(self, inputs: Tensor) -> Tensor:  # type: ignore[override]  # sizes are fixed
        return super().forward(inputs)
