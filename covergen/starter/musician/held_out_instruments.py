"""Instruments reserved for evaluation, synthesized by other methods than those for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from covergen.starter.musician.instruments import InstrumentSet
from covergen.starter.musician.tones import (
    count,
    envelope,
    fold,
    harmonics,
    modes,
    phase_distortion,
    times,
    vibrato,
)

if TYPE_CHECKING:
    from covergen.starter.musician.instruments import DrumKit, PadVoice, Touch, Voice
    from covergen.starter.musician.tones import Samples


# Leads and keys


def _casio(touch: Touch, rng: np.random.Generator) -> Voice:
    """Phase distortion whose bend decays."""
    most = 0.25 + 0.7 * touch.brightness
    sweep, sustain = rng.uniform(0.15, 0.6), rng.uniform(0.3, 0.8)
    attack = touch.attack(0.1, 0.004)

    def voice(hertz: float, seconds: float) -> Samples:
        length = seconds + 0.1
        bend = most * min(1.0, 700 / hertz) * (0.4 + 0.6 * np.exp(-times(length) / sweep))
        shape = envelope(seconds, attack=attack, decay=0.4, sustain=sustain, release=0.1)
        return shape * phase_distortion(hertz, length, bend)

    return voice


def _folded(touch: Touch, rng: np.random.Generator) -> Voice:
    """A wavefolder driven by the envelope, with vibrato."""
    depth = 0.8 + 4.5 * touch.brightness * rng.uniform(0.7, 1.2) + 2.5 * touch.roughness
    rate_hz = rng.uniform(4.5, 6.5)

    def voice(hertz: float, seconds: float) -> Samples:
        attack = touch.attack(0.15, 0.01)
        shape = envelope(seconds, attack=attack, decay=0.5, sustain=0.6, release=0.1)
        gentle = 0.5 + (depth - 0.5) * min(1.0, 450 / hertz)
        tone = fold(hertz, seconds + 0.1, gentle * (0.3 + 0.7 * shape))
        return shape * vibrato(tone, rate_hz=rate_hz, cents=10, after=0.2)

    return voice


def _harpsichord(touch: Touch, rng: np.random.Generator) -> Voice:
    """Two strings an octave apart, plucked near the bridge: a slowly decaying harmonic comb."""
    place = rng.uniform(0.08, 0.2)
    slope = 1.4 - touch.brightness
    octave = rng.uniform(0.2, 0.7)

    def voice(hertz: float, seconds: float) -> Samples:
        k = harmonics(hertz, 50)
        weight = np.abs(np.sin(np.pi * k * place)) / k**slope
        tone = modes(
            np.concatenate([k * hertz, 2.004 * k * hertz]),
            np.concatenate([weight, -1j * octave * weight]),
            np.concatenate([1.2 + 0.15 * k, 2 + 0.3 * k]) * (hertz / 261.6) ** 0.4,
            seconds + 0.12,
        )
        return tone * envelope(seconds, attack=0.0015, release=0.12)

    return voice


def _marimba(touch: Touch, rng: np.random.Generator) -> Voice:
    """A tuned bar: modes at 1, 4 and 10 (Fletcher & Rossing, "Physics of Musical Instruments")."""
    ratios = np.array([1, 3.93 if rng.random() < 0.5 else 3.0, 9.7, 13.2])
    weight = np.array([1, 0.6, 0.35, 0.2]) ** (1.8 - 1.5 * touch.brightness)
    ring = rng.uniform(0.15, 0.9)

    def voice(hertz: float, seconds: float) -> Samples:
        decays = ratios**1.3 / ring * (hertz / 261.6) ** 0.5
        tone = modes(ratios * hertz, -1j * weight, decays, seconds + 0.3)
        return tone * envelope(seconds, attack=0.0015, release=0.3)

    return voice


def _reed(touch: Touch, rng: np.random.Generator) -> Voice:
    """Mostly odd harmonics that build up one after another; roughness adds flutter."""
    slope = 1.9 - 1.3 * touch.brightness
    even = rng.uniform(0.05, 0.5)
    flutter_hz, depth = rng.uniform(22, 32), 0.7 * touch.roughness**2

    def voice(hertz: float, seconds: float) -> Samples:
        k = harmonics(hertz, 30)
        weight = k**-slope * np.where(k % 2 == 1, 1, even)
        tone = modes(
            np.concatenate([k, k]) * hertz,
            np.concatenate([weight, -weight * (1 - 1 / k)]),
            np.repeat([0.0, 1 / 0.05], k.size),
            seconds + 0.08,
        )
        tone *= (
            1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * flutter_hz * times(seconds + 0.08)))
        ).astype(np.float32)
        return tone * envelope(seconds, attack=touch.attack(0.15, 0.02), release=0.08)

    return voice


def _ring_modulated(touch: Touch, rng: np.random.Generator) -> Voice:
    """A harmonic tone multiplied by a sine in tune with it; roughness makes it metallic."""
    ratio = float(rng.choice([2.0, 3.0, 4.0])) * (1 + 0.012 * touch.roughness)
    slope = 2.2 - 1.4 * touch.brightness
    ring = rng.uniform(0.3, 1.2)

    def voice(hertz: float, seconds: float) -> Samples:
        k = harmonics(hertz * (ratio + 1), 16)
        sides = np.concatenate([k + ratio, np.abs(k - ratio)])
        weight = np.tile(k**-slope, 2) * (sides > 0.1)
        tone = modes(
            np.concatenate([[1.0], sides]) * hertz,
            np.concatenate([[0.7], 0.6 * weight]),
            1 / ring,
            seconds + 0.15,
        )
        return tone * envelope(seconds, attack=touch.attack(0.05, 0.003), release=0.15)

    return voice


# Pads


def _glass_pad(touch: Touch, rng: np.random.Generator) -> PadVoice:
    """A glass harmonica: pairs of beating pure modes, a different pair in each channel."""
    slope = 2.4 - 1.6 * touch.brightness
    beat_hz = rng.uniform(0.3, 2.0) + 5 * touch.roughness

    def chorus(chord: Sequence[float], seconds: float) -> Samples:
        ratios = np.array([1.0, 2.0, 2.76, 4.0, 5.4, 8.0])
        partials = np.outer(chord, ratios).ravel()
        weight = np.tile(ratios**-slope, len(chord))
        channels = []
        for side in (-1, 1):
            pair = np.concatenate([partials, partials + beat_hz * (1 + 0.3 * side)])
            turns = np.exp(2j * np.pi * (np.arange(pair.size) * 0.618 + 0.08 * side))
            channels.append(modes(pair, np.tile(weight, 2) * turns, 0.0, seconds + 0.6))
        attack = min(touch.attack(0.9, 0.12), 0.5 * seconds)
        return np.stack(channels) * envelope(seconds, attack=attack, release=0.6)

    return chorus


def _accordion_pad(touch: Touch, rng: np.random.Generator) -> PadVoice:
    """Detuned banks of free reeds, as in a musette accordion."""
    cents = rng.uniform(4, 10) + 12 * touch.roughness
    slope = 1.7 - touch.brightness

    def chorus(chord: Sequence[float], seconds: float) -> Samples:
        partials, weights = [], []
        for hertz in chord:
            k = harmonics(hertz, 18)
            partials.append(k * hertz)
            weights.append(k**-slope)
        base, weight = np.concatenate(partials), np.concatenate(weights)
        channels = []
        for side in (-1, 1):
            spread = 2 ** (side * cents / 1200)
            bank = np.concatenate([base, base * spread])
            turns = np.exp(2j * np.pi * np.arange(bank.size) * 0.381)
            channels.append(modes(bank, np.tile(weight, 2) * turns, 0.0, seconds + 0.25))
        attack = min(touch.attack(0.5, 0.06), 0.5 * seconds)
        return np.stack(channels) * envelope(seconds, attack=attack, release=0.25)

    return chorus


# Basses


def _folded_bass(touch: Touch, rng: np.random.Generator) -> Voice:
    depth = 0.9 + 2.5 * touch.brightness + 2 * touch.roughness
    sweep = rng.uniform(0.1, 0.4)

    def voice(hertz: float, seconds: float) -> Samples:
        length = seconds + 0.06
        shape = envelope(seconds, attack=0.008, decay=0.5, sustain=0.7, release=0.06)
        return shape * fold(hertz, length, 0.6 + depth * np.exp(-times(length) / sweep))

    return voice


def _casio_bass(touch: Touch, rng: np.random.Generator) -> Voice:
    most, sweep = 0.3 + 0.65 * touch.brightness, rng.uniform(0.1, 0.5)

    def voice(hertz: float, seconds: float) -> Samples:
        length = seconds + 0.06
        bend = most * np.exp(-times(length) / sweep)
        shape = envelope(seconds, attack=0.006, decay=0.4, sustain=0.6, release=0.06)
        return shape * phase_distortion(hertz, length, bend)

    return voice


def _tuba(touch: Touch, rng: np.random.Generator) -> Voice:
    slope = 2.3 - touch.brightness + rng.uniform(-0.2, 0.2)

    def voice(hertz: float, seconds: float) -> Samples:
        k = harmonics(hertz, 16)
        tone = modes(
            np.concatenate([k, k]) * hertz,
            np.concatenate([k**-slope, -(k**-slope) * (1 - 1 / k)]),
            np.repeat([0.0, 1 / 0.04], k.size),
            seconds + 0.08,
        )
        return tone * envelope(seconds, attack=touch.attack(0.08, 0.02), release=0.08)

    return voice


# Drums and textures


def _struck(
    hertz: Sequence[float], decay: float, seconds: float, rng: np.random.Generator
) -> Samples:
    """Strike a hard object: random-phase modes at the given frequencies."""
    partials = np.asarray(hertz)
    weight = rng.uniform(0.4, 1, partials.size) * np.exp(2j * np.pi * rng.random(partials.size))
    ring = modes(partials, weight, 1 / decay, seconds)
    ring /= np.abs(ring).max() + 1e-9
    return ring * envelope(seconds - 0.02, attack=0.001, release=0.02)


def _metal_kit(touch: Touch, rng: np.random.Generator) -> DrumKit:
    """Scrap metal: plates, pipes and an oil drum, synthesized from modes without noise."""
    top_hz = touch.cutoff_hz(3500, 2.0)

    def plate(count_of_modes: int, low_hz: float, decay: float, seconds: float) -> Samples:
        return _struck(rng.uniform(low_hz, top_hz, count_of_modes).tolist(), decay, seconds, rng)

    def barrel(hertz: float, seconds: float) -> Samples:
        ratios = np.array([1, 1.33, 1.79, 2.21])
        ring = modes(ratios * hertz, -1j * 0.7 ** np.arange(4), 7 / seconds * ratios, seconds)
        return ring * envelope(seconds - 0.02, attack=0.002, release=0.02)

    return {
        "kick": barrel(rng.uniform(50, 62), 0.4),
        "snare": 0.6 * plate(90, 400, 0.06, 0.3) + 0.6 * barrel(210, 0.3),
        "clap": plate(60, 900, 0.035, 0.2),
        "hat": plate(60, 0.55 * top_hz, 0.02, 0.1),
        "open_hat": plate(80, 0.45 * top_hz, 0.12, 0.4),
        "high_tom": barrel(rng.uniform(170, 210), 0.35),
        "low_tom": barrel(rng.uniform(95, 120), 0.45),
    }


def _folded_kit(touch: Touch, rng: np.random.Generator) -> DrumKit:
    """Wavefolder drums: each hit is one sine, distorted until it resembles noise."""

    def hit(hertz: float, depth: float, decay: float, seconds: float) -> Samples:
        time = times(seconds)
        wobble = depth * np.sin(2 * np.pi * 1.373 * hertz * time)
        wave = np.sin((1 + depth) * np.sin(2 * np.pi * hertz * time + wobble))
        shape = np.exp(-time / decay) * envelope(seconds - 0.02, attack=0.001, release=0.02)
        return np.asarray(wave * shape, np.float32)

    bright = 0.5 + touch.brightness
    return {
        "kick": hit(rng.uniform(48, 60), 0.3, 0.12, 0.4),
        "snare": 0.6 * hit(1150 * bright, 3.0, 0.06, 0.25) + 0.6 * hit(190, 0.3, 0.06, 0.25),
        "clap": hit(1700 * bright, 3.0, 0.04, 0.2),
        "hat": hit(5200 * bright, 2.0, 0.02, 0.09),
        "open_hat": hit(4700 * bright, 2.0, 0.11, 0.4),
        "high_tom": hit(160, 0.2, 0.1, 0.35),
        "low_tom": hit(98, 0.2, 0.13, 0.45),
    }


def _rain(seconds: float, touch: Touch, rng: np.random.Generator) -> Samples:
    """Rain: thousands of tiny pings per second, in a loop of 2.7 s."""
    size = 2**17
    drop = np.zeros(size, np.float32)
    ping_hz = np.array([0.5, 0.7, 1.0]) * touch.cutoff_hz(1800, 2.5)
    ping = modes(ping_hz, np.ones(3), 900.0, 0.01)
    drop[: ping.size] = ping
    falls = np.zeros((2, size), np.float32)
    where = rng.integers(0, size, 8000)
    falls[:, where] = rng.standard_normal((2, where.size))
    loop = np.fft.irfft(np.fft.rfft(falls) * np.fft.rfft(drop), size)
    return np.asarray(np.tile(loop, -(-count(seconds) // size))[:, : count(seconds)], np.float32)


HELD_OUT = InstrumentSet(
    name="held out",
    leads=(_reed, _folded, _casio, _ring_modulated, _marimba),
    keys=(_reed, _casio, _ring_modulated, _harpsichord, _marimba),
    pads=(_accordion_pad, _glass_pad),
    basses=(_folded_bass, _casio_bass, _tuba),
    kits=(_metal_kit, _folded_kit),
    textures=(_rain,),
)
