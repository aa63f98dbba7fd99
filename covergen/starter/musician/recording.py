"""Data augmentation: recording conditions that must not change an embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from covergen.starter.musician import effects
from covergen.starter.musician.tones import SAMPLE_RATE_HZ, count, lowpass

if TYPE_CHECKING:
    from covergen.starter.musician.tones import Numbers, Samples


_FRAME = 2048  # of the codec, in samples


def augment(samples: Samples, rng: np.random.Generator, *, seconds: float = 10.0) -> Samples:
    """Take a random excerpt and vary its room, equalization, coding, stereo width and level.

    samples: (2, n). Returns (2, m) float32 at 48 kHz, peak ≤ 1; at most `seconds` long.
    """
    length = min(samples.shape[1], count(seconds))
    first = int(rng.integers(samples.shape[1] - length + 1))
    out = samples[:, first : first + length]
    out = _color(out, rng)
    if rng.random() < 0.35:
        out = _code(out, rng.uniform(20, 45))
    if rng.random() < 0.3:
        out = _narrow(out, rng.uniform(0, 1))
    if rng.random() < 0.5:
        floor = 10 ** (rng.uniform(-75, -45) / 20)
        out = out + np.float32(floor) * rng.standard_normal(out.shape, dtype=np.float32)
    gain_db = rng.uniform(-9, 6)
    peak = float(np.abs(out).max()) + 1e-9
    return out * np.float32(min(10 ** (gain_db / 20), 1 / peak))


def _color(samples: Samples, rng: np.random.Generator) -> Samples:
    """Apply a spectral tilt, a broad peak, a band limit like a lossy codec's, and a small room."""
    seconds = rng.uniform(0.15, 0.7)
    response = effects.room(seconds, rng.uniform(0.2, 0.9), rng)
    size = effects.fast_size(samples.shape[1] + response.shape[1])
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    gains = effects.tilt(hertz, rng.uniform(-1, 1)) * _bump(hertz, rng)
    if rng.random() < 0.6:
        gains *= lowpass(
            np.maximum(hertz, 1), float(rng.choice([5500, 8000, 11_000, 16_000])), order=10
        )
    wet = rng.uniform(0.02, 0.12) if rng.random() < 0.5 else 0.0
    send = (samples[0] + samples[1]) * np.float32(0.5 * wet)
    return effects.finish(samples, send, response, gains.astype(np.float32))


def _bump(hertz: Numbers, rng: np.random.Generator) -> Numbers:
    center_hz = 2 ** rng.uniform(np.log2(100), np.log2(8000))
    octaves = np.log2(np.maximum(hertz, 1) / center_hz)
    return np.asarray(10 ** (rng.uniform(-4, 4) * np.exp(-(octaves**2)) / 20), np.float64)


def _code(samples: Samples, below_db: float) -> Samples:
    """Imitate a low bit rate: in every frame, drop bins far below their neighbors."""
    hop = _FRAME // 2
    frames = samples.shape[1] // hop + 1
    padded = np.zeros((2, (frames + 1) * hop), np.float32)
    padded[:, hop : hop + samples.shape[1]] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, _FRAME, axis=1)[:, ::hop]
    sine = np.sin(np.pi * (np.arange(_FRAME) + 0.5) / _FRAME).astype(np.float32)
    spectrum = np.fft.rfft(windows * sine)
    power = spectrum.real**2 + spectrum.imag**2
    bands = power[..., :1024].reshape(*power.shape[:2], 32, 32).max(axis=-1)
    threshold = np.repeat(bands, 32, axis=-1) * np.float32(10 ** (-below_db / 10))
    spectrum[..., :1024] *= power[..., :1024] > threshold
    decoded = np.fft.irfft(spectrum, _FRAME) * sine
    out = np.zeros_like(padded)
    halves = decoded.reshape(2, -1, 2, hop)
    out[:, : halves.shape[1] * hop] += halves[:, :, 0].reshape(2, -1)
    out[:, hop : (halves.shape[1] + 1) * hop] += halves[:, :, 1].reshape(2, -1)
    return out[:, hop : hop + samples.shape[1]]


def _narrow(samples: Samples, width: float) -> Samples:
    """Reduce the stereo width; 0 is mono."""
    middle = samples.mean(axis=0, keepdims=True)
    return np.asarray(middle + np.float32(width) * (samples - middle), np.float32)
