"""Which device computes, and in which precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from covergen.core.dependencies import check_dependencies
from covergen.core.errors import UsageError

if TYPE_CHECKING:
    import torch

__all__ = ["Compute", "choose_compute"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """A device and the precision of the models on it."""

    device: torch.device
    dtype: torch.dtype


def choose_compute(device: str, dtype: str) -> Compute:
    """Turn the user's words into torch's: auto, cpu, cuda, mps; auto, fp32, bf16, fp16.

    "auto" takes CUDA, else Apple's MPS, else the CPU; bf16 on a CUDA device that has it, else
    fp16, and fp32 elsewhere. Raises UsageError where the machine has no such device, and
    DependencyError where PyTorch does not work.
    """
    check_dependencies(("torch", "torchaudio"))
    import torch

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        device = next(name for name, there in available.items() if there)
    if not available[device]:
        have = ", ".join(name for name, there in available.items() if there)
        raise UsageError(f"--device {device}: not on this machine (it has: {have}).")
    if dtype == "auto":
        dtype = _half_precision() if device == "cuda" else "fp32"
    names = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return Compute(device=torch.device(device), dtype=names[dtype])


def _half_precision() -> str:
    import torch

    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
