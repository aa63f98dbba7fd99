"""The automatic batch size."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from covergen.diffusion.base_config import BaseConfig, read_config
from covergen.diffusion.memory import automatic_batch_size

CPU = torch.device("cpu")


def of_size(base: Path, *, sample_size: int, width: int) -> BaseConfig:
    config = read_config(base)
    unet = {**config.unet, "sample_size": sample_size, "block_out_channels": (width,)}
    return replace(config, unet=unet)


def test_small_models_take_many_and_large_ones_few(sd1: Path) -> None:
    def size(config: BaseConfig) -> int:
        return automatic_batch_size(config, device=CPU, dtype=torch.float32)

    assert size(read_config(sd1)) == 64
    assert size(of_size(sd1, sample_size=64, width=320)) == 1  # Stable Diffusion 1.5
    assert size(of_size(sd1, sample_size=1024, width=320)) == 1


def test_a_gpu_is_filled_but_not_to_the_brim(sd1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = of_size(sd1, sample_size=64, width=320)
    sizes = []
    for free in (1, 6, 20, 140):
        total = (free << 30, 160 << 30)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, total=total: total)
        gpu = torch.device("cuda")
        sizes.append(automatic_batch_size(config, device=gpu, dtype=torch.bfloat16))
    # 0.7 of the free memory in shares of 100 maps of 64 * 64 * 320 numbers of two bytes.
    assert sizes == [2, 17, 57, 64]


def test_memory_that_metal_recommends_is_used(sd1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = of_size(sd1, sample_size=64, width=320)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 12 << 30)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 6 << 30)
    gpu = torch.device("mps")
    assert automatic_batch_size(config, device=gpu, dtype=torch.float16) == 17
