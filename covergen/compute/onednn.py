"""Run convolutions and linear layers with oneDNN and prepacked weights.

torch repacks a convolution's weights on every call, which takes longer than the convolution itself
for small pictures. It also uses MKL for matrix products, which is slow on non-Intel CPUs. Results
are equal up to rounding.
"""

import platform
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

_Layer = TypeVar("_Layer", bound=nn.Module)

_NO_FUSION: Any = ("none", [], "")  # no activation is fused into the operation


def pack(model: nn.Module) -> None:
    """Freeze a model and use oneDNN for it if it is float32 on an x86 CPU.

    Its convolutions can then be neither trained nor saved, and gradients do not pass through them.
    """
    model.requires_grad_(False)
    if supports_onednn(model):
        for parent, name, layer in _children(model, nn.Conv2d):
            if layer.padding_mode == "zeros":
                setattr(parent, name, _Convolution(layer))
        pack_products(model)


def pack_products(model: nn.Module) -> None:
    """Use oneDNN for frozen linear layers; gradients pass through them to their inputs.

    Trainable layers are not changed.
    """
    if supports_onednn(model):
        for parent, name, layer in _children(model, nn.Linear):
            setattr(parent, name, _Linear(layer))


def supports_onednn(model: nn.Module) -> bool:
    """Whether oneDNN is the fastest for a model: in float32 on an x86 CPU."""
    first = next(model.parameters())
    return (
        first.device.type == "cpu"
        and first.dtype == torch.float32
        and platform.machine() in ("x86_64", "AMD64")
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch's own
    )


def _children(model: nn.Module, kind: type[_Layer]) -> list[tuple[nn.Module, str, _Layer]]:
    """All frozen layers of exactly this type, as (parent, name, layer)."""
    return [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if type(layer) is kind and not any(p.requires_grad for p in layer.parameters())
    ]


class _Linear(nn.Linear):
    """A linear layer that shares the weights of torch's."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None, "meta")
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = _Product.apply(inputs, self.weight, self.bias)
        return output


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(weight)
        output: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, *_NO_FUSION)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        (weight,) = ctx.saved_tensors
        return _Product.apply(gradient, weight.t(), None), None, None


class _Convolution(nn.Module):
    """A convolution whose weights are packed for the size of its last input.

    The layout that oneDNN expects depends on that size. Weights in any other layout are converted
    on every call, which can take several times as long as the convolution.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.in_channels, self.out_channels = layer.in_channels, layer.out_channels
        self.shape: list[Any] = [layer.padding, layer.stride, layer.dilation, layer.groups]
        self.weight = nn.Parameter(layer.weight.to_mkldnn(), requires_grad=False)
        self.bias = layer.bias
        self.packed_for: torch.Size | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.shape != self.packed_for:
            packed = torch.ops.aten.mkldnn_reorder_conv2d_weight(
                self.weight, *self.shape, inputs.shape
            )
            self.weight = nn.Parameter(packed, requires_grad=False)
            self.packed_for = inputs.shape
        output: Tensor = torch.ops.mkldnn._convolution_pointwise(
            inputs, self.weight, self.bias, *self.shape, *_NO_FUSION
        )
        return output
