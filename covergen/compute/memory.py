"""Free memory of a device: measure it, release it, and detect that there is none left."""

from __future__ import annotations

import torch

# torch has its own exception only for its CUDA allocator. The libraries below it report a status
# (cublasCreate: CUBLAS_STATUS_ALLOC_FAILED; cuDNN 9: ..._DEVICE_ALLOCATION_FAILED).
_SIGNS = ("out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED", "DefaultCPUAllocator")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error means that a device ran out of memory."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(sign in text for sign in _SIGNS)


def free_bytes(device: torch.device) -> int | None:
    """The free memory of a GPU in bytes, or None for the CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return None


def release_cached(device: torch.device) -> None:
    """Return torch's cached, unused memory to the device."""
    if device.type == "mps":  # torch.accelerator.empty_cache raises on MPS
        torch.mps.empty_cache()
    elif device.type != "cpu":
        torch.accelerator.empty_cache()
