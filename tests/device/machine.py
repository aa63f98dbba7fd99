"""The machine and its software, and limits on its memory."""

from __future__ import annotations

import platform
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.device.setting import Record, Setting

__all__ = ["limited_memory", "machine", "matrix_rate", "peak_bytes", "synchronize"]

_PACKAGES = ("torch", "diffusers", "transformers", "peft", "accelerate", "bitsandbytes")


def machine(setting: Setting, record: Record) -> None:
    """Record what the other measurements depend on."""
    for package in _PACKAGES:
        try:
            record(package, version(package))
        except PackageNotFoundError:
            record(package, "not installed")
    record("processor threads", torch.get_num_threads())
    if not setting.is_cuda:
        record("device", platform.processor() or platform.machine())
        return
    properties = torch.cuda.get_device_properties(setting.torch_device)
    record("device", properties.name)
    record("memory, GB", properties.total_memory / 1e9)
    record("capability", f"{properties.major}.{properties.minor}")
    record("CUDA", str(torch.version.cuda))
    record("cuDNN convolutions in TF32", torch.backends.cudnn.allow_tf32)
    record("matrix products, bf16 TFLOP/s", matrix_rate(setting.torch_device) / 1e12)


def matrix_rate(device: torch.device) -> float:
    """The measured FLOP/s of large bf16 matrix products."""
    size, count = 8192, 20
    matrix = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    for repeats in (3, count):  # the first to warm up
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]  # torch's own
        start.record()
        for _ in range(repeats):
            matrix @ matrix
        end.record()
        torch.cuda.synchronize(device)
    return float(count * 2 * size**3 / (start.elapsed_time(end) / 1000))


def synchronize(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_bytes(device: torch.device, *, reset: bool = False) -> int:
    """The most memory that tensors have used on a GPU since the last reset; 0 for the CPU."""
    if device.type != "cuda":
        return 0
    if reset:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.max_memory_allocated(device)


@contextmanager
def limited_memory(device: torch.device, limit: float) -> Iterator[None]:
    """Let torch use only `limit` bytes of a GPU."""
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(limit / total, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
