"""Convolutions and matrix products by oneDNN, with weights that are laid out for it once.

torch lays the weights of a convolution out anew at every call, which costs more than the
convolution itself where pictures are small; and it hands matrix products to MKL, which knows
processors other than Intel's badly. The sums are the same, to rounding.
"""

import platform
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["pack"]

_ALONE: Any = ("none", [], "")  # no activation is fused to the operation


def pack(model: nn.Module) -> None:
    """Let a frozen model compute with oneDNN, where it is float32 on an x86 CPU.

    Its convolutions can be neither trained nor saved afterwards.
    """
    first = next(model.parameters())
    if (
        first.device.type != "cpu"
        or first.dtype != torch.float32
        or platform.machine() not in ("x86_64", "AMD64")
        or not torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch's own
    ):
        return
    for module in list(model.modules()):
        for name, layer in module.named_children():
            if type(layer) is nn.Linear:
                setattr(module, name, _Linear(layer))
            elif type(layer) is nn.Conv2d and layer.padding_mode == "zeros":
                setattr(module, name, _Convolution(layer))


class _Linear(nn.Module):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self.weight, self.bias, *_ALONE)
        return output


class _Convolution(nn.Module):
    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.in_channels, self.out_channels = layer.in_channels, layer.out_channels
        self.shape: list[Any] = [layer.padding, layer.stride, layer.dilation, layer.groups]
        packed = torch._C._nn.mkldnn_reorder_conv2d_weight(layer.weight.to_mkldnn(), *self.shape)
        self.weight = nn.Parameter(packed, requires_grad=False)
        self.bias = layer.bias

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = torch.ops.mkldnn._convolution_pointwise(
            inputs, self.weight, self.bias, *self.shape, *_ALONE
        )
        return output
