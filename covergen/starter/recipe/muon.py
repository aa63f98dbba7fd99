"""Muon: momentum SGD with orthogonalized updates.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon. The step size follows Liu et al.
2025 (arXiv 2502.16982), so that learning rates are comparable to AdamW's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from covergen.compute.device import has_bfloat16

_MOMENTUM = 0.95
_STEPS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Optimizer for matrices and convolution kernels; (out, in, ...) becomes (out, in · ...)."""

    def __init__(self, parameters: Iterable[Tensor], *, lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # noqa: ARG002 - a closure is not supported
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].lerp_(parameter.grad, 1 - _MOMENTUM)
                update = _orthogonal(parameter.grad.lerp(momentum, _MOMENTUM).flatten(1))
                size = 0.2 * max(update.shape) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update.view_as(parameter), alpha=-group["lr"] * size)


def _orthogonal(matrix: Tensor) -> Tensor:
    """Approximate U Vᵀ of the matrix's SVD U S Vᵀ by Newton-Schulz iteration.

    In bfloat16, which is precise enough, on devices that compute in it.
    """
    first, second, third = _COEFFICIENTS
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    iterate = wide / (wide.norm() + 1e-7)
    if has_bfloat16(matrix.device):
        iterate = iterate.bfloat16()
    for _ in range(_STEPS):
        gram = iterate @ iterate.T
        iterate = first * iterate + (second * gram + third * gram @ gram) @ iterate
    orthogonal: Tensor = (iterate if wide is matrix else iterate.T).to(matrix.dtype)
    return orthogonal
