"""The automatic batch size."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from covergen.diffusion.base_config import BaseConfig, read_config
from covergen.diffusion.batch_size import automatic_batch_size


@pytest.fixture
def sd15(sd1: Path) -> BaseConfig:
    """The sizes of Stable Diffusion 1.5."""
    config = read_config(sd1)
    unet = {**config.unet, "sample_size": 64, "block_out_channels": (320,)}
    return replace(config, unet=unet)


def test_cpu_batches_depend_on_the_model_size(sd1: Path, sd15: BaseConfig) -> None:
    cpu = torch.device("cpu")
    small, large = (
        automatic_batch_size(config, device=cpu, dtype=torch.float32)
        for config in (read_config(sd1), sd15)
    )
    assert (small, large) == (64, 1)


def test_gpu_batches_use_most_of_the_free_memory(
    sd15: BaseConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    for free in (1, 6, 20, 140):
        total = (free << 30, 160 << 30)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, total=total: total)
        gpu = torch.device("cuda")
        sizes.append(automatic_batch_size(sd15, device=gpu, dtype=torch.bfloat16))
    # 0.7 of the free memory, divided by 100 maps of 64 * 64 * 320 two-byte numbers.
    assert sizes == [2, 17, 57, 64]


def test_mps_batches_use_the_recommended_memory(
    sd15: BaseConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 12 << 30)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 6 << 30)
    mps = torch.device("mps")
    assert automatic_batch_size(sd15, device=mps, dtype=torch.float16) == 17
