"""Pictures on the device against those on the CPU, in all precisions, schedulers and batches."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from covergen.core.cover import SCHEDULERS, Sampling
from covergen.diffusion.painter import load_painter
from tests.device.machine import limited_memory, peak_bytes
from tests.device.setting import difference, paint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from covergen.diffusion.painter import Painter
    from tests.device.setting import Record, Setting

__all__ = [
    "batches",
    "half_precision",
    "out_of_memory",
    "overflowing_vae",
    "same_as_cpu",
    "schedulers",
]

_LEVELS = 2  # the largest difference of float32 pictures
_MEAN_LEVELS = 2  # in half precision
_CPU = torch.device("cpu")
_MANY = {"cuda": 64, "cpu": 8}


def same_as_cpu(setting: Setting, record: Record) -> None:
    """In float32, pictures are the CPU's, whatever the steps and guidance."""
    painters = [_load(setting, device) for device in (_CPU, setting.torch_device)]
    steps = 6 if setting.is_tiny else 20
    for sampling in (_sampling(setting), Sampling(steps=steps, guidance=7.5, scheduler="ddim")):
        expected, found = (paint(painter, 4, sampling) for painter in painters)
        name = f"largest difference, {sampling.steps} steps of {sampling.scheduler}"
        record(name, int(difference(found, expected).max()), at_most=_LEVELS)


def half_precision(setting: Setting, record: Record) -> None:
    """In bf16 and fp16, pictures are close to those in float32."""
    expected = paint(_load(setting), 4, _sampling(setting))
    for dtype in (torch.bfloat16, torch.float16):
        found = difference(paint(_load(setting, dtype=dtype), 4, _sampling(setting)), expected)
        name = str(dtype).removeprefix("torch.")
        record(f"mean difference, {name}", float(found.mean()), at_most=_MEAN_LEVELS)
        record(f"largest difference, {name}", int(found.max()))


def schedulers(setting: Setting, record: Record) -> None:
    """All schedulers work on the device, with and without the reuse of features."""
    painters = [_load(setting, device) for device in (_CPU, setting.torch_device)]
    count = 1 if setting.is_tiny else 4
    for scheduler in SCHEDULERS:
        for reuse in (1, 3) if setting.is_tiny else (1, 2, 3):
            sampling = Sampling(steps=6, guidance=3.0, scheduler=scheduler, reuse=reuse)
            expected, found = (paint(painter, count, sampling) for painter in painters)
            name = f"largest difference, {scheduler}, reuse {reuse}"
            record(name, int(difference(found, expected).max()), at_most=_LEVELS)


def batches(setting: Setting, record: Record) -> None:
    """A picture does not depend on its batch."""
    painter, count = _load(setting), _MANY[setting.torch_device.type]
    together = paint(painter, count, _sampling(setting), batch_size=count)
    alone = paint(painter, 4, _sampling(setting), batch_size=1)
    name = f"largest difference, batch of 1 and of {count}"
    record(name, int(difference(together[:4], alone).max()), at_most=_LEVELS)


def out_of_memory(setting: Setting, record: Record) -> None:
    """All pictures arrive when a batch does not fit."""
    painter, count = _load(setting), _MANY[setting.torch_device.type]
    expected = paint(painter, count, _sampling(setting))
    with _short_of_memory(setting, painter, count) as limited:
        found = paint(limited, count, _sampling(setting), batch_size=count)
    record("pictures", len(found), at_least=count)
    record("largest difference", int(difference(found, expected).max()), at_most=_LEVELS)


def overflowing_vae(setting: Setting, record: Record) -> None:
    """A VAE whose activations do not fit into fp16 still paints the same pictures."""
    exact, half = _load(setting), _load(setting, dtype=torch.float16)
    scale = 3e4 / exact.vae.decoder.conv_in.weight.abs().max().item()
    with torch.no_grad():
        for painter in (exact, half):
            painter.vae.decoder.conv_in.weight.mul_(scale)
        latents = torch.randn(1, *half.config.latent_shape).to(half.device, torch.float16)
        overflows = not half.vae.decode(latents, return_dict=False)[0].isfinite().all()
    record("overflows", overflows, at_least=1)
    expected, found = (paint(painter, 4, _sampling(setting)) for painter in (exact, half))
    mean = float(difference(found, expected).mean())
    record("mean difference", mean, at_most=_MEAN_LEVELS)
    record("contrast", float(found.std()), at_least=5)


def _load(
    setting: Setting, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> Painter:
    base, adapter = setting.small_model()
    device = device or setting.torch_device
    return load_painter(base, adapter, d_audio=512, device=device, dtype=dtype)


def _sampling(setting: Setting) -> Sampling:
    return Sampling(steps=4 if setting.is_tiny else 12, guidance=3.0, scheduler="dpm++")


@contextmanager
def _short_of_memory(setting: Setting, painter: Painter, count: int) -> Iterator[Painter]:
    """Let a batch of `count` not fit: really on a GPU, on the CPU by raising torch's error."""
    if not setting.is_cuda:
        yield replace(painter, unet=_Limited(painter.unet, largest=count // 2))  # guided: twice
        return
    device = setting.torch_device
    idle = torch.cuda.memory_allocated(device)
    peak_bytes(device, reset=True)
    paint(painter, count, Sampling(steps=1, guidance=3.0, scheduler="ddim"), batch_size=count)
    with limited_memory(device, idle + 0.4 * (peak_bytes(device) - idle)):
        yield painter


class _Limited:
    """A UNet for which batches above a size run out of memory."""

    def __init__(self, unet: nn.Module, *, largest: int) -> None:
        self._unet, self._largest = unet, largest

    def __call__(self, inputs: Tensor, *arguments: object, **options: object) -> tuple[Tensor]:
        if len(inputs) > self._largest:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        predicted: tuple[Tensor] = self._unet(inputs, *arguments, **options)
        return predicted
