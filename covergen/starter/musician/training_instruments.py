"""The instruments used for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from covergen.starter.musician.instruments import InstrumentSet
from covergen.starter.musician.tones import (
    SAMPLE_RATE_HZ,
    cloud,
    count,
    envelope,
    fm,
    harmonics,
    lowpass,
    modes,
    noise,
    random_phases,
    times,
    vibrato,
)

if TYPE_CHECKING:
    from covergen.starter.musician.instruments import DrumKit, PadVoice, Touch, Voice
    from covergen.starter.musician.tones import Numbers, Samples


# Leads and keys


def _subtractive(touch: Touch, rng: np.random.Generator, pulse_width: float | None) -> Voice:
    """Two detuned oscillators, saw or pulse, through a low-pass with a closing envelope."""
    detune = 2 ** (rng.uniform(3, 8 + 16 * touch.roughness) / 1200)
    resonance, sweep_octaves = rng.uniform(0, 2), rng.uniform(0.5, 2.5)
    sweep = rng.uniform(0.08, 0.4)
    sustain = rng.uniform(0.4, 0.9)
    attack = touch.attack(0.12, 0.004)

    def voice(hertz: float, seconds: float) -> Samples:
        k = harmonics(hertz)
        wave = 1 / k if pulse_width is None else np.sin(np.pi * k * pulse_width) / k
        closed_hz = touch.cutoff_hz(300) * (hertz / 261.6) ** 0.3
        closed = wave * lowpass(k * hertz, closed_hz, resonance)
        opened = wave * lowpass(k * hertz, closed_hz * 2**sweep_octaves, resonance) - closed
        both = np.concatenate([k / detune**0.5, k * detune**0.5]) * hertz
        length = seconds + 0.12
        tone = modes(
            np.concatenate([both, both]),
            np.concatenate([closed, 0.8j * closed, opened, 0.8j * opened]),
            np.repeat([0.0, 1 / sweep], both.size),
            length,
        )
        return tone * envelope(
            seconds, attack=attack, decay=0.3, sustain=sustain, release=length - seconds
        )

    return voice


def _saw_synth(touch: Touch, rng: np.random.Generator) -> Voice:
    return _subtractive(touch, rng, None)


def _pulse_synth(touch: Touch, rng: np.random.Generator) -> Voice:
    return _subtractive(touch, rng, float(rng.uniform(0.12, 0.5)))


def _electric_piano(touch: Touch, rng: np.random.Generator) -> Voice:
    """FM electric piano: a 1:1 body and a short, high tine."""
    index = 0.4 + 2.2 * touch.brightness + 2.5 * touch.roughness
    tine = rng.choice([7.0, 11.0, 14.0])
    tine_gain = 0.05 + 0.25 * touch.brightness
    ring = rng.uniform(0.5, 1.4)

    def voice(hertz: float, seconds: float) -> Samples:
        length = seconds + 0.15
        time = times(length)
        mellow = min(1.0, 500 / hertz)  # keep the sidebands of high notes below Nyquist
        body = fm(hertz, length, ratio=1.0, index=index * mellow * np.exp(-time / 0.5))
        if tine * hertz < 12_000:
            chime = np.exp(-time / 0.12) * tine_gain
            body += (chime * np.sin(2 * np.pi * tine * hertz * time)).astype(np.float32)
        return body * envelope(seconds, attack=0.003, decay=ring, sustain=0.1, release=0.15)

    return voice


def _fm_brass(touch: Touch, rng: np.random.Generator) -> Voice:
    """Chowning's FM brass: the modulation index follows the envelope."""
    index = (1.0 + 4.0 * touch.brightness) * rng.uniform(0.8, 1.2)
    ratio = 1.0 if touch.roughness < 0.6 else float(rng.choice([1.0, 0.5]))  # growls
    attack = touch.attack(0.2, 0.025)

    def voice(hertz: float, seconds: float) -> Samples:
        shape = envelope(seconds, attack=attack, decay=0.4, sustain=0.7, release=0.1)
        mellow = min(1.0, 600 / hertz)
        return shape * fm(hertz, seconds + 0.1, ratio=ratio, index=index * mellow * shape)

    return voice


def _plucked_string(touch: Touch, rng: np.random.Generator) -> Voice:
    """A plucked string: Karplus & Strong 1983, in closed form.

    Their loop of N samples with a two-point mean damps harmonic k by cos(πk/N) per period and
    starts from noise: harmonics of random amplitude and phase.
    """
    pluck = rng.standard_normal(80) + 1j * rng.standard_normal(80)
    pluck /= np.maximum(np.abs(pluck), 0.5)  # no harmonic may vanish
    ring = rng.uniform(0.35, 1.2)

    def voice(hertz: float, seconds: float) -> Samples:
        k = harmonics(hertz)
        period = SAMPLE_RATE_HZ / hertz
        losses = (
            -hertz * np.log(np.maximum(np.cos(np.pi * k / period), 1e-3)) * (110 / hertz) ** 0.5
        )
        tone_color = lowpass(k * hertz, touch.cutoff_hz(700), order=1) / k**0.3
        length = seconds + 0.2
        tone = modes(
            k * hertz, pluck[: k.size] * tone_color, 1 / ring + (losses + hertz / 900), length
        )
        return tone * envelope(seconds, attack=0.002, release=0.2)

    return voice


def _piano(touch: Touch, rng: np.random.Generator) -> Voice:
    """Pairs of stiff struck strings: stretched, beating partials; higher ones decay faster."""
    stiffness = 4e-4 * rng.uniform(0.5, 2)
    strike = rng.uniform(0.1, 0.14)
    slope = 1.9 - 1.3 * touch.brightness
    pair = 2 ** (rng.uniform(0.5, 2.0 + 10 * touch.roughness) / 1200)

    def voice(hertz: float, seconds: float) -> Samples:
        k = harmonics(hertz, 40)
        partials = hertz * k * np.sqrt(1 + stiffness * k**2)
        weight = np.abs(np.sin(np.pi * k * strike)) / k**slope
        decay = 0.7 * (hertz / 261.6) ** 0.6 * (1 + 0.25 * k)
        length = seconds + 0.2
        tone = modes(
            np.concatenate([partials, partials * pair]),
            np.concatenate([weight, 0.7 * weight]),
            np.concatenate([1.6 * decay, 0.6 * decay]),
            length,
        )
        return tone * envelope(seconds, attack=0.003, release=0.2)

    return voice


def _organ(touch: Touch, rng: np.random.Generator) -> Voice:
    """A drawbar organ: nine sines at a Hammond's footages, with a key click."""
    feet = np.array([0.5, 1.5, 1, 2, 3, 4, 5, 6, 8])
    bars = rng.uniform(0.1, 1, 9) * np.exp(-feet * (1.1 - touch.brightness) * 0.7)
    bars[2] = 1.0

    def voice(hertz: float, seconds: float) -> Samples:
        tone = modes(feet * hertz, bars, 0.0, seconds + 0.06)
        return tone * envelope(seconds, attack=touch.attack(0.06, 0.006), release=0.06)

    return voice


def _bell(touch: Touch, rng: np.random.Generator) -> Voice:
    """A tuned bell: hum, prime, tierce, quint, nominal and above (Rossing, "Science of Sound")."""
    ratios = np.array([0.5, 1, 1.2 if rng.random() < 0.3 else 1.25, 1.5, 2, 2.5, 3, 4, 5.33, 6.67])
    ratios = ratios[[0, 1, 3, 4, 6, 7, 8, 9]] if rng.random() < 0.7 else ratios
    weight = rng.uniform(0.4, 1, ratios.size) * ratios ** (0.8 * touch.brightness - 1.1)
    ring = rng.uniform(0.4, 1.2)

    def voice(hertz: float, seconds: float) -> Samples:
        length = seconds + 0.5
        tone = modes(ratios * hertz, weight, ratios**0.8 / ring, length)
        return tone * envelope(seconds, attack=0.002, release=0.5)

    return voice


def _flute(touch: Touch, rng: np.random.Generator) -> Voice:
    """A few harmonics, breath noise and delayed vibrato."""
    slope = 3.0 - 1.6 * touch.brightness
    rate_hz, cents = rng.uniform(4.5, 6), rng.uniform(8, 25)
    breath = 0.04 + 0.25 * touch.roughness
    air = noise(4.0, rng, low_hz=900, high_hz=5000, order=1)

    def voice(hertz: float, seconds: float) -> Samples:
        k = harmonics(hertz, 8)
        tone = modes(k * hertz, 1 / k**slope, 0.0, seconds + 0.08)
        tone = vibrato(tone, rate_hz=rate_hz, cents=cents, after=0.15)
        tone += breath * np.resize(air, tone.size)
        return tone * envelope(seconds, attack=touch.attack(0.12, 0.02), release=0.08)

    return voice


def _fiddle(touch: Touch, rng: np.random.Generator) -> Voice:
    """A bowed string: a saw through body resonances, with vibrato."""
    body = rng.uniform([250, 450, 900, 2200], [320, 560, 1300, 3200])
    rate_hz, cents = rng.uniform(5, 6.5), rng.uniform(12, 30)

    def voice(hertz: float, seconds: float) -> Samples:
        k = harmonics(hertz, 60)
        peaks = np.exp(-((np.log2(np.outer(k * hertz, 1 / body)) / 0.25) ** 2)).sum(axis=1)
        weight = (0.35 + peaks) / k * lowpass(k * hertz, touch.cutoff_hz(900))
        tone = modes(k * hertz, weight, 0.0, seconds + 0.1)
        tone = vibrato(tone, rate_hz=rate_hz, cents=cents, after=0.1)
        return tone * envelope(seconds, attack=touch.attack(0.25, 0.03), release=0.1)

    return voice


# Pads


def _pad(
    touch: Touch, rng: np.random.Generator, cents: float, formants_hz: Sequence[float] | None = None
) -> PadVoice:
    """A low-passed PADsynth chord, with formants if given."""
    phases = random_phases(rng)
    slope = rng.uniform(0.9, 1.3)
    formants = np.asarray(formants_hz or ())

    def chorus(chord: Sequence[float], seconds: float) -> Samples:
        partials = [harmonics(hertz, 32) * hertz for hertz in chord]
        weights: list[Numbers] = []
        for note in partials:
            weight = (note / note[0]) ** -slope * lowpass(note, touch.cutoff_hz(350), order=1)
            if formants.size:
                peaks = np.exp(-((np.log2(np.outer(note, 1 / formants)) / 0.3) ** 2)).sum(axis=1)
                weight *= 0.08 + peaks
            weights.append(weight)
        sound = cloud(partials, weights, seconds + 0.5, cents=cents, phases=phases)
        attack = min(touch.attack(1.0, 0.1), 0.5 * seconds)
        return sound * envelope(seconds, attack=attack, release=0.5)

    return chorus


def _string_pad(touch: Touch, rng: np.random.Generator) -> PadVoice:
    return _pad(touch, rng, rng.uniform(10, 18) + 15 * touch.roughness)


def _choir_pad(touch: Touch, rng: np.random.Generator) -> PadVoice:
    vowels = ((700, 1150, 2600), (400, 800, 2600), (350, 2000, 2800))
    return _pad(touch, rng, rng.uniform(14, 22), vowels[rng.integers(3)])


def _glow_pad(touch: Touch, rng: np.random.Generator) -> PadVoice:
    return _pad(touch, rng, rng.uniform(3, 7) + 15 * touch.roughness)


# Basses


def _saw_bass(touch: Touch, rng: np.random.Generator) -> Voice:
    detune = 2 ** (rng.uniform(0, 6 + 14 * touch.roughness) / 1200)
    resonance, sweep = rng.uniform(0, 2), rng.uniform(0.08, 0.3)

    def voice(hertz: float, seconds: float) -> Samples:
        k = harmonics(hertz, 48)
        closed = lowpass(k * hertz, touch.cutoff_hz(180, 4), resonance) / k
        opened = lowpass(k * hertz, touch.cutoff_hz(500, 4), resonance) / k - closed
        tone = modes(
            np.concatenate([k, k * detune, k]) * hertz,
            np.concatenate([closed, 0.6j * closed, opened]),
            np.repeat([0, 0, 1 / sweep], k.size),
            seconds + 0.06,
        )
        return tone * envelope(seconds, attack=0.006, decay=0.4, sustain=0.7, release=0.06)

    return voice


def _sub_bass(touch: Touch, rng: np.random.Generator) -> Voice:
    overtone = rng.uniform(0.05, 0.2) + 0.3 * touch.brightness

    def voice(hertz: float, seconds: float) -> Samples:
        k = np.array([1.0, 2.0, 3.0, 4.0])
        tone = modes(k * hertz, overtone ** (k - 1), 0.0, seconds + 0.08)
        return tone * envelope(seconds, attack=touch.attack(0.05, 0.008), release=0.08)

    return voice


def _fm_bass(touch: Touch, rng: np.random.Generator) -> Voice:
    index = 0.8 + 3 * touch.brightness + 3 * touch.roughness
    ratio = float(rng.choice([1.0, 2.0, 3.0]))

    def voice(hertz: float, seconds: float) -> Samples:
        length = seconds + 0.06
        shape = envelope(seconds, attack=0.004, decay=0.5, sustain=0.5, release=0.06)
        return shape * fm(hertz, length, ratio=ratio, index=index * np.exp(-times(length) / 0.25))

    return voice


# Drums and textures


def _thump(
    seconds: float, *, start_hz: float, end_hz: float, drop: float, rng: np.random.Generator
) -> Samples:
    """A drumhead: a sine with a falling pitch and a stick click."""
    time = times(seconds)
    turns = end_hz * time + (start_hz - end_hz) * drop * (1 - np.exp(-time / drop))
    head = np.sin(2 * np.pi * turns) * np.exp(-time * 5 / seconds)
    stick = noise(seconds, rng, low_hz=800, high_hz=6000, order=1) * np.exp(-time / 0.004)
    shape = envelope(seconds - 0.02, attack=0.001, release=0.02)
    return np.asarray((head + 0.15 * stick) * shape, np.float32)


def _burst(
    seconds: float, decay: float, rng: np.random.Generator, *, low_hz: float, high_hz: float
) -> Samples:
    sound = noise(seconds, rng, low_hz=low_hz, high_hz=high_hz)
    shape = np.exp(-times(seconds) / decay) * envelope(seconds - 0.02, attack=0.0008, release=0.02)
    return np.asarray(sound * shape, np.float32)


def _clap(rng: np.random.Generator, top_hz: float) -> Samples:
    """A hand clap: three noise bursts in quick succession."""
    clap = _burst(0.25, 0.06, rng, low_hz=700, high_hz=top_hz)
    for late in (0.011, 0.023):
        clap[count(late) :] += _burst(0.25, 0.01, rng, low_hz=700, high_hz=top_hz)[: -count(late)]
    return clap


def _acoustic_kit(touch: Touch, rng: np.random.Generator) -> DrumKit:
    """An acoustic kit: drumheads, snare wires and thin cymbals."""
    top_hz = touch.cutoff_hz(2500, 2.8)
    shell = rng.uniform(160, 220)
    wires = _burst(0.3, rng.uniform(0.06, 0.11), rng, low_hz=600, high_hz=top_hz)
    tuned = _thump(0.3, start_hz=shell * 1.4, end_hz=shell, drop=0.02, rng=rng)
    return {
        "kick": _thump(0.35, start_hz=rng.uniform(110, 180), end_hz=55, drop=0.03, rng=rng),
        "snare": 0.7 * wires + 0.8 * tuned,
        "clap": _clap(rng, top_hz),
        "hat": _burst(0.09, 0.022, rng, low_hz=min(6000, top_hz), high_hz=1.5 * top_hz),
        "open_hat": _burst(0.45, 0.13, rng, low_hz=min(5000, top_hz), high_hz=1.5 * top_hz),
        "high_tom": _thump(0.4, start_hz=230, end_hz=150, drop=0.05, rng=rng),
        "low_tom": _thump(0.5, start_hz=150, end_hz=88, drop=0.06, rng=rng),
    }


def _electronic_kit(touch: Touch, rng: np.random.Generator) -> DrumKit:
    """An electronic kit after the Roland TR-808: swept sines, noise, clustered square waves."""
    top_hz = touch.cutoff_hz(3000, 2.8)
    long = rng.uniform(0.3, 0.55)

    def metal(seconds: float, decay: float) -> Samples:
        tones_hz = np.array([205.3, 304.4, 369.6, 522.7, 540.0, 800.0]) * rng.uniform(0.9, 1.6)
        odd = np.arange(5, 60, 2.0)
        partials = np.outer(tones_hz, odd).ravel()
        turns = np.exp(2j * np.pi * rng.random(partials.size))
        weight = np.tile(1 / odd, 6) * (partials > 5000) * lowpass(partials, 1.5 * top_hz) * turns
        ring = modes(partials, weight, 1 / decay, seconds)
        ring /= np.abs(ring).max() + 1e-9
        return ring * envelope(seconds - 0.02, attack=0.001, release=0.02)

    snap = _burst(0.25, 0.07, rng, low_hz=1200, high_hz=top_hz)
    return {
        "kick": _thump(long, start_hz=rng.uniform(150, 300), end_hz=47, drop=0.025, rng=rng),
        "snare": 0.7 * snap + 0.7 * _thump(0.25, start_hz=330, end_hz=185, drop=0.01, rng=rng),
        "clap": _clap(rng, top_hz),
        "hat": metal(0.08, 0.02),
        "open_hat": metal(0.4, 0.14),
        "high_tom": _thump(0.35, start_hz=260, end_hz=165, drop=0.03, rng=rng),
        "low_tom": _thump(0.45, start_hz=165, end_hz=98, drop=0.03, rng=rng),
    }


def _hand_drums(touch: Touch, rng: np.random.Generator) -> DrumKit:
    """Congas, a shaker and a rim: soft and woody."""
    top_hz = touch.cutoff_hz(2200, 2.6)

    def skin(hertz: float, seconds: float) -> Samples:
        # A membrane's modes: Rossing 1992, "Acoustics of drums".
        ratios = np.array([1, 1.59, 2.14, 2.3, 2.65, 2.92])
        weight = np.array([1, 0.6, 0.4, 0.3, 0.25, 0.2]) * touch.attack(0.4, 1.0)
        weight[0] = 1.0
        ring = modes(ratios * hertz, -1j * weight, 6 / seconds * ratios, seconds)
        return ring * envelope(seconds - 0.02, attack=0.0015, release=0.02)

    return {
        "kick": skin(rng.uniform(60, 75), 0.45),
        "snare": 0.8 * skin(rng.uniform(300, 380), 0.2)
        + 0.3 * _burst(0.2, 0.02, rng, low_hz=1500, high_hz=top_hz),
        "clap": skin(rng.uniform(1100, 1600), 0.09),
        "hat": _burst(0.1, 0.03, rng, low_hz=min(4000, top_hz), high_hz=1.6 * top_hz),
        "open_hat": _burst(0.2, 0.07, rng, low_hz=min(3500, top_hz), high_hz=1.6 * top_hz),
        "high_tom": skin(rng.uniform(220, 280), 0.25),
        "low_tom": skin(rng.uniform(130, 170), 0.35),
    }


def _hiss(seconds: float, touch: Touch, rng: np.random.Generator) -> Samples:
    """Air, surf or amplifier noise with a slow swell."""
    low_hz = rng.uniform(60, 800)
    high_hz = touch.cutoff_hz(900, 3.5)
    loop = noise(2.7, rng, low_hz=min(low_hz, high_hz / 2), high_hz=high_hz, order=1)
    mono = np.resize(loop, count(seconds))
    swell = 1 + 0.6 * np.sin(2 * np.pi * (rng.uniform(0.05, 0.3) * times(seconds) + rng.random()))
    return np.asarray(np.stack([mono, np.roll(mono, count(0.7))]) * swell, np.float32)


def _crackle(seconds: float, touch: Touch, rng: np.random.Generator) -> Samples:
    """The crackle of an old record."""
    clicks = rng.random((2, count(seconds)), dtype=np.float32)
    sparks = np.where(clicks < (2 + 20 * touch.roughness) / SAMPLE_RATE_HZ, 1, 0)
    grain = np.exp(-np.arange(32) / 8) * np.cos(np.arange(32) * (0.3 + 1.2 * touch.brightness))
    dust = [np.convolve(channel, grain)[: clicks.shape[1]] for channel in sparks]
    return np.asarray(dust, np.float32) * 20


TRAINING = InstrumentSet(
    name="training",
    leads=(_fiddle, _saw_synth, _fm_brass, _flute, _pulse_synth, _bell),
    keys=(
        _organ,
        _saw_synth,
        _fm_brass,
        _piano,
        _pulse_synth,
        _electric_piano,
        _plucked_string,
        _bell,
    ),
    pads=(_choir_pad, _string_pad, _glow_pad),
    basses=(_saw_bass, _sub_bass, _fm_bass, _plucked_string),
    kits=(_acoustic_kit, _electronic_kit, _hand_drums),
    textures=(_hiss, _crackle),
)
