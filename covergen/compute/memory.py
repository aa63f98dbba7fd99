"""What a device's allocator says when it gives up, and how its cache is emptied."""

from __future__ import annotations

import torch

__all__ = ["is_out_of_memory", "release_cached"]

# torch has an exception of its own only for its CUDA allocator. The libraries below it name a
# status (cublasCreate: CUBLAS_STATUS_ALLOC_FAILED; cuDNN 9: ..._DEVICE_ALLOCATION_FAILED).
_SIGNS = ("out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED", "DefaultCPUAllocator")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an allocator gave up, on any device."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(sign in text for sign in _SIGNS)


def release_cached(device: torch.device) -> None:
    """Give back to the device what torch keeps of tensors that are gone."""
    if device.type == "mps":  # torch.accelerator.empty_cache raises there
        torch.mps.empty_cache()
    elif device.type != "cpu":
        torch.accelerator.empty_cache()
