"""Audio effects: distortion, chorus, dynamics, reverberation and equalizers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from covergen.starter.musician.tones import SAMPLE_RATE_HZ, count, times

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.starter.musician.tones import Numbers, Samples


_BLOCK = 240  # samples, 5 ms: the resolution of slow gain curves


def rms(samples: Samples) -> float:
    """Return the root mean square over all channels."""
    flat = samples.reshape(-1)
    return float(np.sqrt(np.dot(flat, flat) / max(1, flat.size)))


def drive(samples: Samples, amount: float) -> Samples:
    """Distort: an amount of 0 changes nothing, 1 is a fuzz. Preserves the RMS."""
    level = rms(samples)
    if amount <= 0 or level < 1e-6:
        return samples
    gain = np.float32(0.25 * 60**amount / level)
    bias = np.float32(0.3 * amount)  # adds even harmonics
    driven = np.tanh(gain * samples + bias) - np.tanh(bias)
    return np.asarray(driven * np.float32(level / rms(driven)), np.float32)


def chorus(samples: Samples, rng: np.random.Generator) -> Samples:
    """Add a copy with a delay modulated around 12 ms to each channel."""
    rate_hz, depth = rng.uniform(0.3, 1.2), rng.uniform(0.001, 0.004)
    size = samples.shape[1]
    blocks = np.arange(size // _BLOCK + 2) * (_BLOCK / SAMPLE_RATE_HZ)
    out = samples.copy()
    for channel in range(2):
        turns = 2 * np.pi * (rate_hz * blocks + 0.25 * channel)
        delay = _spread(((0.012 + depth * np.sin(turns)) * SAMPLE_RATE_HZ).astype(np.float32), size)
        place = np.maximum(np.arange(size, dtype=np.float64) - delay, 0)
        index = place.astype(np.int64)
        part = (place - index).astype(np.float32)
        source = samples[channel]
        following = np.minimum(index + 1, size - 1)
        out[channel] += 0.6 * (source[index] * (1 - part) + source[following] * part)
    return out


def compress(samples: Samples, amount: float) -> Samples:
    """Compress the dynamics; an amount of 1 is a ratio of 5:1. The attack is a soft 20 ms."""
    blocks = _block_means(samples)
    smooth = np.convolve(np.pad(blocks, 8, mode="edge"), np.hanning(17) / 8, mode="valid")
    level = np.sqrt(smooth)
    gate = 0.05 * level.max() + 1e-6  # do not amplify silence
    gain = (np.maximum(level, gate) / level.max()) ** (-0.8 * amount)
    return samples * _spread(np.append(gain, gain[-1]).astype(np.float32), samples.shape[1])


def limit(samples: Samples, ceiling: float = 0.97) -> Samples:
    """Reduce the gain around peaks so that none exceeds the ceiling."""
    size = samples.shape[1]
    number = size // _BLOCK + 1
    padded = np.zeros((2, number * _BLOCK), np.float32)
    padded[:, :size] = np.abs(samples)
    peaks = padded.reshape(2, number, _BLOCK).max(axis=(0, 2))
    gain = np.minimum(1, ceiling / np.maximum(peaks, 1e-9))
    reach = 4  # blocks on either side
    wide = np.lib.stride_tricks.sliding_window_view(
        np.pad(gain, reach + 2, mode="edge"), 2 * reach + 1
    )
    lowest = wide.min(axis=1)
    smooth = np.convolve(lowest, np.hanning(7)[1:-1] / np.hanning(7).sum(), mode="valid")
    # The gain at each block's start is the lower of the two adjacent blocks.
    knots = np.minimum(np.append(smooth, smooth[-1]), np.insert(smooth, 0, smooth[0]))
    turned_down = samples * _spread(knots.astype(np.float32), size)
    return np.asarray(np.clip(turned_down, -ceiling, ceiling), np.float32)


def _block_means(samples: Samples) -> Numbers:
    """Return the mean square of each block of `_BLOCK` samples, the last block zero-padded."""
    size = samples.shape[1]
    number = size // _BLOCK + 1
    power = np.zeros(number * _BLOCK, np.float32)
    np.einsum("ct,ct->t", samples, samples, out=power[:size])
    return np.asarray(power.reshape(number, _BLOCK).mean(axis=1), np.float64)


def _spread(knots: Samples, size: int) -> Samples:
    """Interpolate linearly between values at every `_BLOCK`-th sample. Returns (size,)."""
    slope = np.arange(_BLOCK, dtype=np.float32) / _BLOCK
    lines = knots[:-1, None] * (1 - slope) + knots[1:, None] * slope
    return np.asarray(lines.reshape(-1)[:size], np.float32)


# In the frequency domain


def fast_size(samples: int) -> int:
    """Return the next length with a fast Fourier transform: 2^a times 1, 3, 5, 9 or 15."""
    sizes = [m << max(0, (-(-samples // m) - 1).bit_length()) for m in (1, 3, 5, 9, 15)]
    return min(sizes)


def tilt(hertz: Numbers, db_per_octave: float, pivot_hz: float = 1000.0) -> Numbers:
    """Return the gains of a tilt equalizer around `pivot_hz`."""
    octaves = np.log2(np.clip(hertz, 40, 16_000) / pivot_hz)
    gains: Numbers = np.exp2(db_per_octave / 6.0206 * octaves)
    return gains


def room(seconds: float, brightness: float, rng: np.random.Generator) -> Samples:
    """Return a stereo room impulse response: noise that decays by 60 dB in `seconds`.

    Returns (2, samples), unit energy, with a pre-delay of 5 to 25 ms.
    """
    delay = count(rng.uniform(0.005, 0.025))
    tail = count(seconds)
    response = np.zeros((2, delay + tail), np.float32)
    decay = np.exp(-6.9 / seconds * times(seconds)).astype(np.float32)
    left, own = rng.standard_normal((2, tail), dtype=np.float32)
    response[:, delay:] = np.stack([left, 0.45 * left + 0.9 * own]) * decay  # partly correlated
    soft = int(2 + 8 * (1 - brightness))  # a moving average: walls absorb high frequencies
    sums = np.cumsum(response, axis=1, dtype=np.float64)
    sums[:, soft:] -= sums[:, :-soft].copy()
    return np.asarray(sums / np.sqrt(np.sum(sums**2) / 2), np.float32)


def finish(
    dry: Samples, send: Samples, response: Samples, gains_of: NDArray[np.float32]
) -> Samples:
    """Add the reverberation of the mono `send` to the dry stereo sound, and equalize the sum.

    gains_of: real gains at the FFT bins of a `fast_size` that holds sound and response.
    """
    size = 2 * (gains_of.size - 1)
    spectrum = np.fft.rfft(dry, size)
    spectrum += np.fft.rfft(send, size) * np.fft.rfft(response, size)
    spectrum *= gains_of
    return np.asarray(np.fft.irfft(spectrum, size)[:, : dry.shape[1]], np.float32)
