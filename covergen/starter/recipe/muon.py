"""Muon: momentum whose update of each matrix is made orthogonal.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; the size of a step as in Liu et al.
2025 (arXiv 2502.16982), so that rates are those of AdamW.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Muon"]

_MOMENTUM = 0.95
_STEPS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """For matrices and for kernels of convolutions, (out, in, ...), taken as (out, in · ...)."""

    def __init__(self, parameters: Iterable[Tensor], *, lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # noqa: ARG002 - a closure is not supported
        """Move every parameter that has a gradient."""
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
    """About U Vᵀ of the matrix's U S Vᵀ, by a Newton-Schulz iteration in bfloat16."""
    first, second, third = _COEFFICIENTS
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    found = (wide / (wide.norm() + 1e-7)).bfloat16()
    for _ in range(_STEPS):
        gram = found @ found.T
        found = first * found + (second * gram + third * gram @ gram) @ found
    orthogonal: Tensor = (found if wide is matrix else found.T).to(matrix.dtype)
    return orthogonal
