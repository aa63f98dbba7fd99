"""The optimizers: AdamW, and AdamW with 8-bit moments from bitsandbytes."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from covergen.core.errors import UsageError
from covergen.training.recipe import Optimizer


def check_optimizer(optimizer: Optimizer, device: torch.device) -> None:
    """Raise UsageError if the optimizer is not available on this machine or for the device."""
    if optimizer != "adamw8bit":
        return
    if device.type != "cuda":
        raise UsageError(
            f"--optimizer adamw8bit needs a CUDA device; this training uses {device.type}.",
            hint="Use --optimizer adamw.",
        )
    if find_spec("bitsandbytes") is None:
        raise UsageError(
            "--optimizer adamw8bit needs the package bitsandbytes, which is not installed.",
            hint="Install it with `pip install bitsandbytes`, or use --optimizer adamw.",
        )


def make_optimizer(
    optimizer: Optimizer, groups: Sequence[dict[str, Any]], *, weight_decay: float
) -> torch.optim.Optimizer:
    """Create an optimizer for parameter groups, each with its learning rate."""
    if optimizer == "adamw8bit":
        adamw: torch.optim.Optimizer = import_module("bitsandbytes.optim").AdamW8bit(
            groups, weight_decay=weight_decay
        )
        return adamw
    return torch.optim.AdamW(groups, weight_decay=weight_decay, fused=True)
