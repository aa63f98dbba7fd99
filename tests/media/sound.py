"""Short pieces of synthetic music, determined by kind and seed."""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "sound"]

KINDS = ("chord", "drums", "melody", "noise", "tone")

_PEAK = 0.5
_MAJOR = (0, 2, 4, 5, 7, 9, 11)
_MINOR = (0, 2, 3, 5, 7, 8, 10)


def sound(
    kind: str, seconds: float, *, sample_rate: int = 44_100, channels: int = 2, seed: int = 0
) -> NDArray[np.float32]:
    """Return (channels, samples) float32, peak 0.5. `kind` is one of KINDS.

    The same arguments give the same samples; the seed determines the key, tune or texture.
    """
    makers = {"chord": _chord, "drums": _drums, "melody": _melody, "noise": _noise, "tone": _tone}
    random = np.random.default_rng([seed, KINDS.index(kind)])
    mono = makers[kind](round(seconds * sample_rate), sample_rate, random)
    # Channels differ in level to reveal decoders that swap or drop one.
    wave = np.stack([mono * 0.8**channel for channel in range(channels)])
    loudest = max(float(np.abs(wave).max(initial=0.0)), 1e-9)
    return np.asarray(wave * (_PEAK / loudest), dtype=np.float32)


def _tone(size: int, sample_rate: int, random: np.random.Generator) -> NDArray[np.float64]:
    return np.sin(math.tau * random.uniform(160, 900) * np.arange(size) / sample_rate)


def _noise(size: int, sample_rate: int, random: np.random.Generator) -> NDArray[np.float64]:
    smoothing = np.hanning(random.integers(3, 24))
    noise = np.convolve(random.standard_normal(size + smoothing.size), smoothing)[:size]
    swell = np.sin(math.tau * random.uniform(0.3, 2.0) * np.arange(size) / sample_rate)
    return noise * (1.2 + swell)


def _chord(size: int, sample_rate: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Strike a triad of one key every second."""
    pitches = _scale(random)
    wave = np.zeros(size)
    for start in range(0, size, sample_rate):
        root = random.integers(7)
        for step in (root, root + 2, root + 4):
            _strike(wave, start, _note(pitches[step], 1.5, sample_rate))
    return wave


def _melody(size: int, sample_rate: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Strike a note of one key three to six times a second."""
    pitches = _scale(random)
    interval = random.integers(sample_rate // 6, sample_rate // 3)
    wave = np.zeros(size)
    for start in range(0, size, interval):
        _strike(wave, start, _note(pitches[random.integers(14)], 0.8, sample_rate))
    return wave


def _drums(size: int, sample_rate: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Strike a kick and a snare drum in turn, three to five times a second."""
    interval = int(random.integers(sample_rate // 5, sample_rate // 3))
    age = np.arange(sample_rate // 2) / sample_rate
    kick = np.sin(math.tau * (50 * age + 6 * (1 - np.exp(-age / 0.04)))) * np.exp(-age / 0.12)
    snare = random.standard_normal(age.size) * np.exp(-age / 0.05)
    wave = np.zeros(size)
    for start in range(0, size, 2 * interval):
        _strike(wave, start, kick)
        _strike(wave, start + interval, snare)
    return wave


def _scale(random: np.random.Generator) -> NDArray[np.float64]:
    """Two octaves of a major or minor key, in Hz."""
    steps = np.array(_MAJOR if random.random() < 0.5 else _MINOR)
    lowest = random.uniform(130, 260)
    return lowest * np.exp2(np.concatenate([steps, steps + 12]) / 12)


def _note(pitch: float, seconds: float, sample_rate: int) -> NDArray[np.float64]:
    """A plucked string with four overtones that decays within `seconds`."""
    age = np.arange(round(seconds * sample_rate)) / sample_rate
    wave = np.zeros(age.size)
    for n in range(1, 6):
        wave += np.sin(math.tau * pitch * n * age) / n**1.5
    return wave * np.exp(-5 * age / seconds) * np.minimum(age / 0.01, 1.0)


def _strike(wave: NDArray[np.float64], start: int, note: NDArray[np.float64]) -> None:
    """Add as much of the note to `wave` at `start` as fits."""
    room = wave[start : start + note.size]
    room += note[: room.size]
