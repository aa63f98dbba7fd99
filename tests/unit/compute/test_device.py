"""Device selection on machines with and without GPUs."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from covergen.compute.device import choose_compute, has_bfloat16, runs_on, worker_count
from covergen.core.errors import UsageError

WHEEL = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Two CUDA devices of this compute capability."""

    def install(capability: tuple[int, int], *, bf16: bool = True) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "GeForce GTX 1080")
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: WHEEL)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bf16)

    return install


@pytest.fixture
def old_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU whose driver is older than the CUDA that PyTorch was built for."""

    def is_available() -> bool:
        warnings.warn(
            "CUDA initialization: The NVIDIA driver on your system is too old (found version"
            " 11040). Please update your GPU driver.",
            stacklevel=1,
        )
        return False

    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    monkeypatch.setattr(torch.version, "cuda", "13.0")


def test_auto_without_a_gpu_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    compute = choose_compute("auto", "auto")
    assert (compute.device.type, compute.dtype, compute.unused) == ("cpu", torch.float32, "")
    with pytest.raises(UsageError, match="device cuda: this machine has no CUDA device"):
        choose_compute("cuda", "auto")
    with pytest.raises(UsageError, match="device mps"):
        choose_compute("mps", "auto")


@pytest.mark.parametrize(("bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_auto_on_a_gpu_is_half_precision(
    gpu: Callable[..., None], bf16: bool, dtype: torch.dtype
) -> None:
    gpu((8, 6), bf16=bf16)
    compute = choose_compute("auto", "auto")
    assert (str(compute.device), compute.dtype, compute.unused) == ("cuda", dtype, "")


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="not Linux")
def test_a_cpu_has_bfloat16_if_its_flags_say_so() -> None:
    flags = Path("/proc/cpuinfo").read_text().split()
    assert has_bfloat16(torch.device("cpu")) == ("avx512_bf16" in flags or "amx_bf16" in flags)


@pytest.mark.parametrize("capability", ["avx512_bf16", "amx_bf16"])
def test_one_kind_of_bfloat16_is_enough(capability: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True})
    assert has_bfloat16(torch.device("cpu"))


def test_a_gpu_can_be_selected_by_number(gpu: Callable[..., None]) -> None:
    gpu((9, 0))
    assert choose_compute("cuda:1", "auto").device == torch.device("cuda", 1)
    with pytest.raises(UsageError, match="cuda:2: this machine only has cuda:0 to cuda:1"):
        choose_compute("cuda:2", "auto")


def test_auto_on_mps_is_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    compute = choose_compute("auto", "auto")
    assert (compute.device.type, compute.dtype) == ("mps", torch.float16)


def test_all_cores_prepare_what_a_gpu_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    assert [worker_count(None, device) for device in ("cpu", "cuda", "mps")] == [4, 16, 16]
    assert worker_count(2, "cuda") == 2


@pytest.mark.usefixtures("old_driver")
def test_an_outdated_driver_is_reported() -> None:
    compute = choose_compute("auto", "auto")
    assert compute.device.type == "cpu"
    assert "driver is too old" in compute.unused
    assert "CUDA 11.4" in compute.unused
    assert "built for 13.0" in compute.unused
    with pytest.raises(UsageError, match="driver is too old"):
        choose_compute("cuda", "auto")


def test_a_gpu_without_kernels_is_reported(gpu: Callable[..., None]) -> None:
    gpu((6, 1))
    compute = choose_compute("auto", "auto")
    assert compute.device.type == "cpu"
    assert "no kernels for GeForce GTX 1080 (sm_61" in compute.unused
    with pytest.raises(UsageError, match="no kernels"):
        choose_compute("cuda:0", "auto")


@pytest.mark.parametrize(
    ("capability", "architectures", "runs"),
    [
        ((6, 1), WHEEL, False),
        ((7, 0), WHEEL, False),  # older than sm_75 of the same major version
        ((7, 5), WHEEL, True),
        ((8, 9), WHEEL, True),  # runs binaries for sm_86
        ((12, 0), WHEEL, True),
        ((13, 0), WHEEL, True),  # compiles PTX
        ((9, 0), ["sm_90a"], True),
        ((8, 0), ["sm_90a"], False),
    ],
)
def test_compatibility_of_kernels(
    capability: tuple[int, int], architectures: list[str], runs: bool
) -> None:
    assert runs_on(capability, architectures) == runs
