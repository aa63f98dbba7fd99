"""Fewer whole passes through the UNet: the deep features of one step serve the next ones too.

Source: DeepCache (Ma et al. 2023, arXiv 2312.00858). What is deep in a UNet changes slowly from
step to step, so that between whole passes only its outermost layer is computed anew.
"""

import copy
from typing import Any, cast

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

__all__ = ["ReusingUNet"]


class ReusingUNet:
    """Called as the UNet is; every `period`-th call is a whole pass, the first among them.

    Between them a batch may shrink to its last rows; where it grows, the pass is a whole one. The
    UNet itself is left as it is.
    """

    def __init__(self, unet: UNet2DConditionModel, period: int) -> None:
        *deeper, last = unet.up_blocks
        *earlier, outermost = last.resnets
        self._keeper = _Keeper(outermost, skipped=unet.conv_in.out_channels)
        keeping = _twin(last, resnets=nn.ModuleList([*earlier, self._keeper]))
        self._whole = _twin(unet, up_blocks=nn.ModuleList([*deeper, keeping]))
        self._shallow = _twin(
            unet,
            down_blocks=nn.ModuleList(),
            mid_block=None,
            up_blocks=nn.ModuleList([_Outermost(last, self._keeper)]),
        )
        self._period, self._calls = period, 0

    def __call__(self, inputs: Tensor, *arguments: Any, **options: Any) -> tuple[Tensor]:
        """(B, C, h, w) to the same, in a tuple."""
        due = self._calls % self._period == 0 or len(self._keeper.features) < len(inputs)
        self._calls += 1
        unet = self._whole if due else self._shallow
        output: tuple[Tensor] = unet(inputs, *arguments, **options)
        return output


class _Keeper(nn.Module):
    """The outermost resnet, which keeps what comes to it from below: (B, C, h, w).

    The last `skipped` channels of its input come over the skip connection instead.
    """

    def __init__(self, resnet: nn.Module, *, skipped: int) -> None:
        super().__init__()
        self.resnet, self.skipped = resnet, skipped
        self.features = torch.empty(0)

    def forward(self, hidden_states: Tensor, temb: Tensor) -> Tensor:
        self.features = hidden_states[:, : -self.skipped]
        output: Tensor = self.resnet(hidden_states, temb)
        return output


class _Outermost(nn.Module):
    """The outermost layer of the last block, fed from below with what was kept."""

    def __init__(self, block: nn.Module, keeper: _Keeper) -> None:
        super().__init__()
        children = dict(block.named_children())
        layers = {
            name: cast("nn.ModuleList", children[name])[-1:]
            for name in ("resnets", "attentions")
            if name in children
        }
        self.has_cross_attention = "attentions" in layers  # the UNet asks for both
        self.resnets = layers["resnets"]
        self.layer, self.keeper = _twin(block, **layers), keeper

    def forward(self, hidden_states: Tensor, **options: Any) -> Tensor:
        output: Tensor = self.layer(
            hidden_states=self.keeper.features[-len(hidden_states) :], **options
        )
        return output


def _twin(module: nn.Module, **parts: nn.Module | None) -> nn.Module:
    """The same module with the same weights, but for some of its parts."""
    twin = copy.copy(module)
    twin.__dict__["_modules"] = {**module._modules, **parts}
    return twin
