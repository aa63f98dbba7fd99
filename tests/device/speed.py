"""Painting speed and memory at Stable Diffusion 1.5's size, with random weights."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from covergen.core.cover import Sampling
from covergen.diffusion.compiled import compile_models
from covergen.diffusion.painter import load_painter
from tests.device.machine import matrix_rate, peak_bytes, synchronize
from tests.device.setting import paint

if TYPE_CHECKING:
    from covergen.diffusion.painter import Painter
    from tests.device.setting import Record, Setting

__all__ = ["compiled_speed", "painting_speed"]

_UNET_FLOP, _DECODER_FLOP = 0.803e12, 2.514e12  # Stable Diffusion 1.5, per picture
_SHARE_OF_PEAK = 50  # %, the goal
_STEPS = 10


def painting_speed(setting: Setting, record: Record) -> None:
    """Measure batches of 1 to 64; the best one should use half of the device's peak."""
    painter = _load(setting)
    peak = matrix_rate(painter.device) if setting.is_cuda else None
    shares = []
    for batch in (1, 2) if setting.is_tiny else (1, 4, 16, 64):
        peak_bytes(painter.device, reset=True)
        rate = _covers_per_second(painter, batch)
        record(f"covers/s of {_STEPS} steps, batch of {batch}", rate)
        if setting.is_cuda:
            memory = peak_bytes(painter.device) / 1e9
            record(f"peak memory, batch of {batch}, GB", memory)
        if peak is not None and not setting.is_tiny:
            shares.append(100 * rate * (2 * _STEPS * _UNET_FLOP + _DECODER_FLOP) / peak)
            record(f"share of the matrix peak, batch of {batch}, %", shares[-1])
    if shares:
        record("best share of the matrix peak, %", max(shares), at_least=_SHARE_OF_PEAK)


def compiled_speed(setting: Setting, record: Record) -> None:
    """Compare with compiled models. On the CPU, they are only traced."""
    painter, batch, steps = _load(setting), 16, _STEPS
    if setting.is_tiny:
        batch, steps = 1, 2
    plain = _covers_per_second(painter, batch, steps=steps)
    backend = "inductor" if setting.is_cuda else "eager"
    compiled = compile_models(painter, backend)
    start = time.perf_counter()
    paint(compiled, batch, _sampling(1), batch_size=batch)
    synchronize(painter.device)
    record("seconds to compile", time.perf_counter() - start)
    rate = _covers_per_second(compiled, batch, steps=steps)
    record(f"covers/s, compiled, batch of {batch}", rate)
    record("compiled, times as fast", rate / plain)


def _load(setting: Setting) -> Painter:
    base, adapter = setting.large_model()
    dtype = torch.bfloat16 if setting.is_cuda else torch.float32
    return load_painter(base, adapter, d_audio=512, device=setting.torch_device, dtype=dtype)


def _sampling(steps: int) -> Sampling:
    return Sampling(steps=steps, guidance=7.5, scheduler="dpm++")


def _covers_per_second(painter: Painter, batch: int, *, steps: int = _STEPS) -> float:
    paint(painter, batch, _sampling(1), batch_size=batch)  # warm up
    synchronize(painter.device)
    start = time.perf_counter()
    paint(painter, batch, _sampling(steps), batch_size=batch)
    synchronize(painter.device)
    return batch / (time.perf_counter() - start)
