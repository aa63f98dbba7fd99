"""Tone synthesis: damped modes, FM, phase distortion, wavefolding, PADsynth and noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 48_000
_HIGHEST_HZ = 18_000.0  # higher partials are omitted to avoid aliasing
_CLOUD_SAMPLES = 2**17  # 2.7 s: long enough that the loop is not noticeable

Samples: TypeAlias = NDArray[np.float32]
Numbers: TypeAlias = NDArray[np.floating[Any]]


def count(seconds: float) -> int:
    """Return the number of samples in a duration."""
    return round(seconds * SAMPLE_RATE_HZ)


def times(seconds: float) -> Numbers:
    """Return the times, in seconds, of the samples in a duration."""
    return np.arange(count(seconds)) / SAMPLE_RATE_HZ


def envelope(
    seconds: float, *, attack: float, release: float, decay: float = 1.0, sustain: float = 1.0
) -> Samples:
    """Return the gain curve of a note held for `seconds`, plus `release` seconds.

    Starts and ends at zero with zero slope to avoid clicks.
    """
    time = times(seconds + release).astype(np.float32)
    curve: Samples = sustain + (1 - sustain) * np.exp(-np.maximum(time - attack, 0) / decay)
    rising, falling = count(attack), min(count(seconds), time.size)
    curve[:rising] *= np.sin(np.pi / 2 / attack * time[:rising]) ** 2
    curve[falling:] *= np.cos(np.pi / 2 / release * (time[falling:] - seconds)) ** 2
    return curve


def harmonics(hertz: float, most: int = 80) -> Numbers:
    """Return the numbers 1, 2, 3, … of the audible harmonics of a tone."""
    return np.arange(1.0, max(2, min(most, int(_HIGHEST_HZ / hertz)) + 1))


def lowpass(hertz: Numbers, cutoff_hz: float, resonance: float = 0.0, order: int = 2) -> Numbers:
    """Return the gains of a Butterworth low-pass with a peak of `resonance` at the cutoff."""
    ratio = hertz / cutoff_hz
    gains: Numbers = 1 / np.sqrt(1 + ratio ** (2 * order))
    if resonance:
        gains = gains + resonance * np.exp(-((np.log2(ratio) / 0.22) ** 2))
    return gains


def modes(
    hertz: Numbers, amplitudes: NDArray[np.generic], decays: Numbers | float, seconds: float
) -> Samples:
    """Return the real part of a sum of damped modes `amplitude * exp((2πi * hertz - decay) * t)`.

    hertz: (K,). amplitudes: (K,), complex to set the phase. decays: (K,) or one, per second.
    The exponential factors into one over blocks and one within a block: a single matrix product.
    """
    keep = (hertz < _HIGHEST_HZ) & (np.abs(amplitudes) > 3e-4 * np.abs(amplitudes).max())
    decays = np.broadcast_to(decays, hertz.shape)[keep]
    turn = (2j * np.pi * hertz[keep] - decays) / SAMPLE_RATE_HZ
    samples = count(seconds)
    block = int(samples**0.5) + 1
    coarse = amplitudes[keep] * np.exp(np.outer(np.arange(block) * block, turn))
    fine = np.exp(np.outer(turn, np.arange(block)))
    left = np.concatenate([coarse.real, -coarse.imag], axis=1, dtype=np.float32)
    right = np.concatenate([fine.real, fine.imag], axis=0, dtype=np.float32)
    return (left @ right).reshape(-1)[:samples]


def fm(hertz: float, seconds: float, *, ratio: float, index: Numbers | float) -> Samples:
    """Synthesize two-operator FM (Chowning 1973, "The Synthesis of Complex Audio Spectra").

    index: the modulation index, a number or (samples,).
    """
    turns = hertz * times(seconds)
    carrier = (2 * np.pi * (turns % 1)).astype(np.float32)
    modulator = np.sin((2 * np.pi * (ratio * turns % 1)).astype(np.float32))
    return np.asarray(np.sin(carrier + np.asarray(index, np.float32) * modulator), np.float32)


def phase_distortion(hertz: float, seconds: float, bend: Numbers) -> Samples:
    """Synthesize a cosine with a shortened first half-period: the Casio CZ's saw (US 4,658,691).

    bend: (samples,); 0 is a pure cosine, 1 nearly a saw.
    """
    phase = (hertz * times(seconds)) % 1
    knee = 0.5 * (1 - 0.96 * bend)
    bent = np.where(phase < knee, phase / knee, 1 + (phase - knee) / (1 - knee)) * np.pi
    return np.asarray(np.cos(bent.astype(np.float32)), np.float32)


def fold(hertz: float, seconds: float, depth: Numbers) -> Samples:
    """Synthesize a sine of a sine, as a West Coast wavefolder does: odd harmonics.

    depth: (samples,), in radians.
    """
    phase = (2 * np.pi * ((hertz * times(seconds)) % 1)).astype(np.float32)
    return np.sin(depth.astype(np.float32) * np.sin(phase))


def noise(
    seconds: float, rng: np.random.Generator, *, low_hz: float, high_hz: float, order: int = 2
) -> Samples:
    """Synthesize band-limited noise of unit RMS."""
    samples = count(seconds)
    size = 1 << max(6, (samples - 1).bit_length())
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)[1:]
    band = lowpass(hertz, high_hz, order=order) * lowpass(1 / hertz, 1 / low_hz, order=order)
    spectrum = np.zeros(size // 2 + 1, np.complex64)
    spectrum[1:] = band * np.exp(2j * np.pi * rng.random(hertz.size))
    sound = np.fft.irfft(spectrum, size)[:samples]
    return np.asarray(sound / (np.sqrt(np.mean(sound**2)) + 1e-9), np.float32)


def cloud(
    hertz: Sequence[Numbers],
    amplitudes: Sequence[Numbers],
    seconds: float,
    *,
    cents: float,
    phases: NDArray[np.complex64],
) -> Samples:
    """Synthesize a stereo chord whose partials are narrow noise bands: Nasca's PADsynth (2006).

    hertz, amplitudes: (K,) for each note. cents: the width of a band. phases: (2, bins), from
    `random_phases`. Returns (2, samples) of unit RMS.
    """
    bin_hz = SAMPLE_RATE_HZ / _CLOUD_SAMPLES
    spectrum = np.zeros(_CLOUD_SAMPLES // 2 + 1)
    for note_hertz, note_amplitudes in zip(hertz, amplitudes, strict=True):
        for center_hz, amplitude in zip(note_hertz, note_amplitudes, strict=True):
            if amplitude < 1e-3 or center_hz > _HIGHEST_HZ:
                continue
            width = max(1.0, center_hz * (2 ** (cents / 1200) - 1) / bin_hz)
            first, last = int(center_hz / bin_hz - 3 * width), int(center_hz / bin_hz + 3 * width)
            bins = np.arange(max(1, first), min(last + 2, spectrum.size))
            bell = np.exp(-0.5 * ((bins - center_hz / bin_hz) / width) ** 2)
            spectrum[bins[0] : bins[-1] + 1] += amplitude * bell / width**0.5
    loop = np.fft.irfft(spectrum.astype(np.float32) * phases, _CLOUD_SAMPLES)
    loop /= np.sqrt(np.mean(loop**2)) + 1e-12
    samples = count(seconds)
    return np.asarray(np.tile(loop, -(-samples // _CLOUD_SAMPLES))[:, :samples], np.float32)


def random_phases(rng: np.random.Generator) -> NDArray[np.complex64]:
    """Draw two channels of random phases for `cloud`, as unit complex numbers."""
    turns = rng.random((2, _CLOUD_SAMPLES // 2 + 1), dtype=np.float32)
    return np.asarray(np.exp(2j * np.pi * turns), np.complex64)


def vibrato(tone: Samples, *, rate_hz: float, cents: float, after: float) -> Samples:
    """Modulate a tone's pitch by resampling it, starting after `after` seconds."""
    time = np.arange(tone.size) / SAMPLE_RATE_HZ
    swing = cents / 1200 * np.log(2) / (2 * np.pi * rate_hz) * SAMPLE_RATE_HZ  # samples
    onset = np.clip((time - after) / 0.3, 0, 1)
    place = np.arange(tone.size) + swing * onset * np.sin(2 * np.pi * rate_hz * time)
    place = np.clip(place, 0, tone.size - 2)
    index = place.astype(np.int64)
    part = (place - index).astype(np.float32)
    return np.asarray(tone[index] * (1 - part) + tone[index + 1] * part, np.float32)
