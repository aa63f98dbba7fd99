"""From a score to sound: every distinct note is rendered once, its copies laid out and mixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from covergen.starter.musician import effects
from covergen.starter.musician.harmony import hertz_of
from covergen.starter.musician.instruments import InstrumentSet, Touch
from covergen.starter.musician.tones import SAMPLE_RATE_HZ, count, lowpass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from covergen.starter.attributes import Attributes
    from covergen.starter.musician.instruments import DrumKit, PadInstrument, Voice
    from covergen.starter.musician.score import Chord, Hit, Note, Score
    from covergen.starter.musician.tones import Samples

__all__ = ["perform"]

T = TypeVar("T")

_QUIETEST_DB, _LOUDEST_DB = -34.0, -12.0  # RMS below full scale
_DRUM_GAINS = {"kick": 0.8, "low_tom": 0.8, "high_tom": 0.8}
_DRUM_PANS = {"hat": 0.3, "open_hat": 0.3, "high_tom": -0.35, "low_tom": 0.4, "clap": -0.1}


def perform(
    score: Score,
    attributes: Attributes,
    rng: np.random.Generator,
    *,
    seconds: float,
    instruments: InstrumentSet,
) -> Samples:
    """Play a score on instruments drawn from a set. Returns (2, samples), peak < 1."""
    touch = Touch(
        brightness=attributes.brightness,
        roughness=attributes.roughness,
        firmness=float(np.clip(0.7 * attributes.arousal + 0.3 * attributes.rhythmicity, 0, 1)),
    )
    tonal = _tonal_part(score, attributes, touch, rng, seconds, instruments)
    drums = np.zeros((2, count(seconds)), np.float32)
    if score.drums:
        kit = _any(instruments.kits, rng)(touch, rng)
        _lay_hits(drums, kit, score.drums)
        drums = effects.drive(drums, 0.5 * attributes.roughness - 0.1)
    return _master(tonal, drums, attributes, touch, rng, instruments, score)


def _tonal_part(
    score: Score,
    attributes: Attributes,
    touch: Touch,
    rng: np.random.Generator,
    seconds: float,
    instruments: InstrumentSet,
) -> Samples:
    """Everything that has a pitch."""
    bus = np.zeros((2, count(seconds)), np.float32)
    keys = _suited(instruments.keys, attributes.valence, rng)(touch, rng)
    _lay_notes(bus, keys, score.keys, gain=1.0, spread=0.5)
    if score.pad:
        pad = _suited(instruments.pads, attributes.valence, rng)
        _lay_chords(bus, pad, score.pad, 0.9 - 0.5 * attributes.arousal, touch, rng)
    if rng.random() < 0.35:
        bus = effects.chorus(bus, rng)
    if score.lead:
        lead = _suited(instruments.leads, attributes.valence, rng)(touch, rng)
        notes = _with_echo(score) if rng.random() < 0.5 else score.lead
        _lay_notes(bus, lead, notes, gain=1.0, spread=0.15)
    if score.bass:
        bass = _any(instruments.basses, rng)(touch, rng)
        _lay_notes(bus, bass, score.bass, gain=1.0, spread=0.0)
    return effects.drive(bus, 1.15 * attributes.roughness - 0.15)


def _any(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]


def _suited(choices: Sequence[T], valence: float, rng: np.random.Generator) -> T:
    """One of the instruments, which stand in order of cheerfulness."""
    place = float(np.clip(valence + rng.normal(0, 0.2), 0, 0.999))
    return choices[int(place * len(choices))]


def _with_echo(score: Score) -> list[Note]:
    """The lead with two echoes a dotted eighth apart: copies cost nothing."""
    late = 3 * score.clock.step_seconds
    return [
        type(note)(note.start + late * turn, note.seconds, note.pitch, note.velocity * 0.35**turn)
        for turn in range(3)
        for note in score.lead
    ]


def _lay_notes(
    bus: Samples, voice: Voice, notes: Sequence[Note], *, gain: float, spread: float
) -> None:
    """Place the notes of one part, low ones left and high ones right by `spread`."""
    rendered: dict[tuple[int, float], Samples] = {}
    for note in notes:
        key = (note.pitch, max(0.04, round(note.seconds * 25) / 25))
        if key not in rendered:
            tone = voice(hertz_of(note.pitch), key[1])
            rendered[key] = tone * np.float32(0.1 / (effects.rms(tone[: count(0.4)]) + 1e-6))
        pan = spread * np.sin(note.pitch * 2.4)
        _place(bus, rendered[key], note.start, gain * note.velocity, pan)


def _lay_chords(
    bus: Samples,
    pad: PadInstrument,
    chords: Sequence[Chord],
    gain: float,
    touch: Touch,
    rng: np.random.Generator,
) -> None:
    chorus = pad(touch, rng)
    rendered: dict[tuple[tuple[int, ...], float], Samples] = {}
    for chord in chords:
        key = (chord.pitches, round(chord.seconds * 4) / 4)
        if key not in rendered:
            sound = chorus([hertz_of(pitch) for pitch in chord.pitches], max(0.5, key[1]))
            rendered[key] = sound * np.float32(0.1 / (effects.rms(sound) + 1e-6))
        _place(bus, rendered[key], chord.start, gain * chord.velocity, 0.0)


def _lay_hits(bus: Samples, kit: DrumKit, hits: Sequence[Hit]) -> None:
    leveled = {
        name: drum * np.float32(_DRUM_GAINS.get(name, 1.0) / (np.abs(drum).max() + 1e-6))
        for name, drum in kit.items()
    }
    for hit in hits:
        _place(bus, leveled[hit.drum], hit.start, hit.velocity, _DRUM_PANS.get(hit.drum, 0.0))


def _place(bus: Samples, sound: Samples, start: float, gain: float, pan: float) -> None:
    """Add a mono or stereo sound at a time, panned from -1 to 1 with constant power."""
    first = count(start)
    part = sound[..., : max(0, bus.shape[1] - first)]
    end = first + part.shape[-1]
    if part.ndim == 2:
        bus[:, first:end] += np.float32(gain) * part
        return
    angle = np.pi / 4 * (1 + pan)
    bus[0, first:end] += np.float32(gain * np.cos(angle)) * part
    bus[1, first:end] += np.float32(gain * np.sin(angle)) * part


def _master(
    tonal: Samples,
    drums: Samples,
    attributes: Attributes,
    touch: Touch,
    rng: np.random.Generator,
    instruments: InstrumentSet,
    score: Score,
) -> Samples:
    """Balance, room, equaliser, compression, loudness, limiter."""
    size = tonal.shape[1]
    seconds = size / SAMPLE_RATE_HZ
    dry = tonal * np.float32(0.1 / (effects.rms(tonal) + 1e-6))
    if score.drums:
        balance_db = -22 + 36 * attributes.percussiveness
        drums = drums * np.float32(0.1 / (effects.rms(drums) + 1e-6) * 10 ** (balance_db / 20))
        dry += drums
    if rng.random() < 0.25 + 0.75 * attributes.roughness:
        texture = _any(instruments.textures, rng)
        hiss = texture(seconds, touch, rng)
        level_db = -52 + 26 * attributes.roughness + rng.uniform(-4, 4)
        dry += hiss * np.float32(10 ** (level_db / 20) / (effects.rms(hiss) + 1e-6))
    gloom = 1 - 0.5 * (attributes.arousal + attributes.valence)  # dwells in larger rooms
    wet = rng.uniform(0.05, 0.25) + 0.45 * gloom
    response = effects.room(rng.uniform(0.25, 0.7) + 1.3 * gloom, attributes.brightness, rng)
    send = (dry[0] + dry[1]) * np.float32(0.5 * wet)
    gains = _tone_control(effects.fast_size(size + response.shape[1]), attributes)
    mixed = effects.finish(dry, send, response, gains)
    mixed = effects.compress(mixed, 0.9 * (1 - attributes.dynamics))
    return _leveled(mixed, attributes.loudness)


def _tone_control(size: int, attributes: Attributes) -> NDArray[np.float32]:
    """Brightness as a tilt and a low-pass; nothing below what can be heard."""
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ).astype(np.float32)
    top_hz = 2200 * 2 ** (3.2 * attributes.brightness)
    gains = lowpass(hertz, top_hz, order=1)
    gains *= effects.tilt(hertz, 5.5 * (attributes.brightness - 0.62))
    rumble = np.searchsorted(hertz, 200)
    gains[1:rumble] *= lowpass(1 / hertz[1:rumble], 1 / 28, order=3)
    gains[0] = 0
    return gains


def _leveled(samples: Samples, loudness: float) -> Samples:
    """Bring to the RMS that the loudness asks for, with no peak above the ceiling, no hard edge."""
    wanted = 10 ** ((_QUIETEST_DB + (_LOUDEST_DB - _QUIETEST_DB) * loudness) / 20)
    out = effects.limit(samples * np.float32(wanted / (effects.rms(samples) + 1e-9)))
    fade = np.linspace(0, 1, count(0.005), dtype=np.float32)
    out[:, : fade.size] *= fade
    out[:, -fade.size :] *= fade[::-1]
    return out
