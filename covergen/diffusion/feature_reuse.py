"""Run the full UNet only every Nth step, and reuse its deep features in between.

Source: DeepCache (Ma et al. 2023, arXiv 2312.00858). A UNet's deep features change slowly from step
to step, so that only its outermost layer needs to run on the other steps.
"""

import copy
from typing import Any, cast

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn


class ReusingUNet:
    """Wraps a UNet; the first and every `period`-th call run all of it, others the outermost layer.

    A batch may shrink to its last rows between full passes; if it grows, a full pass runs. The
    UNet itself is not modified.
    """

    def __init__(self, unet: UNet2DConditionModel, period: int) -> None:
        *deeper, last = unet.up_blocks
        *earlier, outermost = last.resnets
        self._recorder = _Recorder(outermost, skipped=unet.conv_in.out_channels)
        recording = shallow_copy(last, resnets=nn.ModuleList([*earlier, self._recorder]))
        self._full = shallow_copy(unet, up_blocks=nn.ModuleList([*deeper, recording]))
        self._shallow = shallow_copy(
            unet,
            down_blocks=nn.ModuleList(),
            mid_block=None,
            up_blocks=nn.ModuleList([_Outermost(last, self._recorder)]),
        )
        self._period, self._calls = period, 0

    def __call__(self, inputs: Tensor, *arguments: Any, **options: Any) -> tuple[Tensor]:
        """Predict from (B, C, h, w) like the UNet with `return_dict=False`."""
        due = self._calls % self._period == 0 or len(self._recorder.features) < len(inputs)
        self._calls += 1
        unet = self._full if due else self._shallow
        output: tuple[Tensor] = unet(inputs, *arguments, **options)
        return output


class _Recorder(nn.Module):
    """The outermost resnet; records the deep features in its input: (B, C, h, w).

    The last `skipped` channels of the input come from the skip connection.
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
    """The outermost layer of the last block, with the recorded deep features as input."""

    def __init__(self, block: nn.Module, recorder: _Recorder) -> None:
        super().__init__()
        children = dict(block.named_children())
        layers = {
            name: cast("nn.ModuleList", children[name])[-1:]
            for name in ("resnets", "attentions")
            if name in children
        }
        self.has_cross_attention = "attentions" in layers  # the UNet reads this attribute
        self.resnets = layers["resnets"]
        self.layer, self.recorder = shallow_copy(block, **layers), recorder

    def forward(self, hidden_states: Tensor, **options: Any) -> Tensor:
        output: Tensor = self.layer(
            hidden_states=self.recorder.features[-len(hidden_states) :], **options
        )
        return output


def shallow_copy(module: nn.Module, **parts: nn.Module | None) -> nn.Module:
    """Copy a module with shared weights, replacing some of its parts."""
    copied = copy.copy(module)
    copied.__dict__["_modules"] = {**module._modules, **parts}
    return copied
