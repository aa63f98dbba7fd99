"""CLAP's audio encoder: precision and speed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from covergen.audio.clap import AudioEncoder
from tests.device.machine import synchronize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.device.setting import Record, Setting

__all__ = ["encoder_precision", "encoder_speed"]

_SAMPLE_RATE = 48_000
_SECONDS = 10


def encoder_precision(setting: Setting, record: Record) -> None:
    """Embeddings are the CPU's in float32, and close to them in half precision."""
    device, cpu = setting.torch_device, torch.device("cpu")
    exact = AudioEncoder(setting.small_clap(), device=cpu, dtype=torch.float32)
    log_mel = exact.log_mel(_chords(4 if setting.is_tiny else 16))
    expected = exact.embed(log_mel)
    goals = {torch.float32: 0.99999, torch.bfloat16: 0.999, torch.float16: 0.999}
    for dtype, goal in goals.items():
        found = AudioEncoder(setting.small_clap(), device=device, dtype=dtype).embed(log_mel)
        name = f"smallest cosine to the CPU, {str(dtype).removeprefix('torch.')}"
        record(name, float((found * expected).sum(axis=1).min()), at_least=goal)


def encoder_speed(setting: Setting, record: Record) -> None:
    """Measure windows per second of a full-size encoder."""
    device = setting.torch_device
    dtype = torch.bfloat16 if setting.is_cuda else torch.float32
    encoder = AudioEncoder(setting.large_clap(), device=device, dtype=dtype)
    window = encoder.log_mel(_chords(1))
    for batch in (8, 64, 256) if setting.is_cuda else (2, 8):
        log_mel = np.repeat(window, batch, axis=0)
        encoder.embed(log_mel)  # warm up
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < (0.1 if setting.is_tiny else 2):
            encoder.embed(log_mel)
            count += batch
        synchronize(device)
        record(f"windows/s in batches of {batch}", count / (time.perf_counter() - start))


def _chords(count: int) -> NDArray[np.float32]:
    """Windows of music-like sound: (count, 480000) float32."""
    random = np.random.default_rng(1)
    time_s = np.arange(_SECONDS * _SAMPLE_RATE) / _SAMPLE_RATE
    sounds = []
    for _ in range(count):
        tones = [np.sin(2 * np.pi * f * time_s) for f in random.uniform(60, 4000, size=5)]
        rhythm = np.exp(-((time_s * random.uniform(1, 4)) % 1) * random.uniform(1, 9))
        noise = random.normal(0, random.uniform(0.01, 0.3), len(time_s))
        sounds.append((np.sum(tones, axis=0) * rhythm / 10 + noise).astype(np.float32))
    return np.stack(sounds)
