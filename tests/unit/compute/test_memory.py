"""Out-of-memory detection, and releasing cached memory."""

import pytest
import torch

from covergen.compute.memory import is_out_of_memory, release_cached


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    ],
)
def test_out_of_memory_errors_of_gpu_libraries(error: RuntimeError) -> None:
    assert is_out_of_memory(error)


def test_out_of_memory_error_of_the_cpu() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "mat1 and mat2 shapes cannot be multiplied",
        "CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx`",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    ],
)
def test_other_errors_are_not_out_of_memory(text: str) -> None:
    assert not is_out_of_memory(RuntimeError(text))


def test_cached_memory_is_released_on_each_device(monkeypatch: pytest.MonkeyPatch) -> None:
    emptied = []
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: emptied.append("mps"))
    monkeypatch.setattr(torch.accelerator, "empty_cache", lambda: emptied.append("accelerator"))
    for device in ("cpu", "mps", "cuda"):
        release_cached(torch.device(device))
    assert emptied == ["mps", "accelerator"]
