"""Choose the device and the precision."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from covergen.core.dependencies import check_dependencies
from covergen.core.errors import OptionError

if TYPE_CHECKING:
    import torch


MOST_FOR_CPU = 4
"""The default of `worker_count` for a CPU, on a machine with as many cores or more."""

_MOST_FOR_GPU = 32  # processes
_DRIVERS = "https://www.nvidia.com/drivers"
_INSTALL = "https://pytorch.org/get-started/locally"
_TOO_OLD = re.compile(r"driver on your system is too old \(found version (\d+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """A device and the precision of the models on it.

    `unused`: why the machine's GPU is not used, "" if it is used or there is none.
    """

    device: torch.device
    dtype: torch.dtype
    unused: str = ""

    @property
    def dtype_name(self) -> str:
        """The precision as on the command line: "fp32", "bf16" or "fp16"."""
        return {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}[
            str(self.dtype).removeprefix("torch.")
        ]


def choose_compute(device: str, dtype: str) -> Compute:
    """Resolve the names of a device and a precision to torch's types.

    `device`: auto, cpu, cuda, cuda:N or mps; "auto" prefers CUDA, then MPS, then the CPU. `dtype`:
    auto, fp32, bf16 or fp16; "auto" is bf16 on CUDA devices that support it, fp16 on other GPUs and
    fp32 on the CPU. Raises OptionError if the machine has no such device or PyTorch cannot use it,
    and DependencyError if PyTorch does not work.
    """
    check_dependencies(("torch", "torchaudio"))
    import torch

    unused = ""
    if device == "auto":
        device, unused = _best_device()
    else:
        _check_device(device)
    if dtype == "auto":
        dtype = _half_precision(device)
    names = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return Compute(device=torch.device(device), dtype=names[dtype], unused=unused)


def worker_count(wanted: int | None, device: str) -> int:
    """Return the number of processes that prepare what a device computes.

    By default, as many as there are cores, but at most MOST_FOR_CPU for a CPU, which needs the
    others.
    """
    most = MOST_FOR_CPU if device == "cpu" else _MOST_FOR_GPU
    return wanted or min(most, os.cpu_count() or 1)


def runs_on(capability: tuple[int, int], architectures: Sequence[str]) -> bool:
    """Whether kernels for any of torch's `architectures` run on a CUDA device.

    Binaries ("sm_86") run on devices of the same major version with at least that minor version,
    PTX ("compute_90") on that and any later device. Source: CUDA C++ Programming Guide, section
    "Application Compatibility".
    """
    for name in architectures:
        kind, _, number = name.rstrip("af").partition("_")
        major, minor = int(number[:-1]), int(number[-1])
        if kind == "sm" and major == capability[0] and minor <= capability[1]:
            return True
        if kind == "compute" and (major, minor) <= capability:
            return True
    return False


def _best_device() -> tuple[str, str]:
    """The device for "auto", and why the CUDA device is not used, if so."""
    import torch

    problem = _cuda_problem("cuda")
    if problem is None:
        return "cuda", ""
    return ("mps" if torch.backends.mps.is_available() else "cpu"), problem


def _check_device(device: str) -> None:
    import torch

    kind, _, index = device.partition(":")
    if kind == "cuda" and (problem := _cuda_problem(device)) is not None:
        raise OptionError("device", f"{device}: {problem or 'this machine has no CUDA device.'}")
    if kind == "cuda" and index and int(index) >= (count := torch.cuda.device_count()):
        raise OptionError("device", f"{device}: this machine only has cuda:0 to cuda:{count - 1}.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise OptionError("device", "mps: this machine has no GPU with Metal support.")


def _cuda_problem(device: str) -> str | None:
    """Why a CUDA device cannot be used: None if it can, "" if there is none."""
    import torch

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    if not available:
        old = next(filter(None, (_TOO_OLD.search(str(w.message)) for w in caught)), None)
        if old is None:
            return ""
        return (
            f"the NVIDIA driver is too old for this PyTorch (it supports CUDA"
            f" {_cuda_version(int(old[1]))}, PyTorch was built for {torch.version.cuda}). Update"
            f" the driver ({_DRIVERS}), or install a PyTorch for an older CUDA ({_INSTALL})."
        )
    index = torch.device(device).index or 0
    if index >= torch.cuda.device_count():
        return None
    capability = torch.cuda.get_device_capability(index)
    if runs_on(capability, torch.cuda.get_arch_list()):
        return None
    return (
        f"this PyTorch has no kernels for {torch.cuda.get_device_name(index)}"
        f" (sm_{capability[0]}{capability[1]}; it has {', '.join(torch.cuda.get_arch_list())})."
        f" Install a PyTorch that supports it ({_INSTALL})."
    )


def _cuda_version(number: int) -> str:
    """Format a version of the CUDA driver API, such as 12040, as "12.4"."""
    return f"{number // 1000}.{number % 1000 // 10}"


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the device computes in bfloat16; emulation is slower than float32."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def _half_precision(device: str) -> str:
    import torch

    if device == "cpu":
        return "fp32"
    return "bf16" if has_bfloat16(torch.device(device)) else "fp16"
