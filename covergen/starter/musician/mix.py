"""Render a score: each distinct note is synthesized once, then placed, mixed and mastered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from covergen.starter.musician import effects
from covergen.starter.musician.harmony import hertz_of
from covergen.starter.musician.instruments import InstrumentSet, Touch
from covergen.starter.musician.tones import SAMPLE_RATE_HZ, count, lowpass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.poster.attributes import Attributes
    from covergen.starter.musician.instruments import PadVoice, Voice
    from covergen.starter.musician.score import Chord, Note, Score
    from covergen.starter.musician.tones import Samples


_T = TypeVar("_T")

_QUIETEST_DB, _LOUDEST_DB = -34.0, -12.0  # RMS below full scale
_UNIT = 0.1  # the RMS at which parts are mixed
_DRUM_GAINS = {"kick": 0.8, "low_tom": 0.8, "high_tom": 0.8}
_DRUM_PANS = {"hat": 0.3, "open_hat": 0.3, "high_tom": -0.35, "low_tom": 0.4, "clap": -0.1}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """State shared by all parts of one performance."""

    attributes: Attributes
    touch: Touch
    rng: np.random.Generator
    instruments: InstrumentSet
    seconds: float

    def silence(self) -> Samples:
        return np.zeros((2, count(self.seconds)), np.float32)


def perform(
    score: Score,
    attributes: Attributes,
    rng: np.random.Generator,
    *,
    seconds: float,
    instruments: InstrumentSet,
) -> Samples:
    """Play a score on instruments drawn from a set. Returns (2, samples), peak < 1."""
    firmness = 0.7 * attributes.arousal + 0.3 * attributes.rhythmicity
    touch = Touch(
        brightness=attributes.brightness, roughness=attributes.roughness, firmness=firmness
    )
    session = _Session(
        attributes=attributes, touch=touch, rng=rng, instruments=instruments, seconds=seconds
    )
    dry = _at_level(0.0, _render_pitched(session, score))
    if score.drums:
        dry += _at_level(-22 + 36 * attributes.percussiveness, _render_drums(session, score))
    if rng.random() < 0.25 + 0.75 * attributes.roughness:
        texture = _choose(instruments.textures, rng)(seconds, touch, rng)
        dry += _at_level(-34 + 20 * attributes.roughness + rng.uniform(-4, 4), texture)
    return _master(_add_room(session, dry), attributes)


def _at_level(db: float, part: Samples) -> Samples:
    """Scale a part to a level relative to `_UNIT`."""
    gain = _UNIT * 10 ** (db / 20) / (effects.rms(part) + 1e-6)
    return part * np.float32(gain)


def _render_pitched(session: _Session, score: Score) -> Samples:
    """Render all pitched parts."""
    attributes, touch, rng = session.attributes, session.touch, session.rng
    instruments, valence = session.instruments, session.attributes.valence
    bus = session.silence()
    keys = _choose_by_valence(instruments.keys, valence, rng)(touch, rng)
    _place_notes(bus, keys, score.keys, spread=0.5)
    if score.pad:
        # A distorted pad at full level would mask everything else.
        gain = (0.9 - 0.5 * attributes.arousal) * (1 - 0.6 * attributes.roughness)
        pad = _choose_by_valence(instruments.pads, valence, rng)(touch, rng)
        _place_chords(bus, pad, score.pad, gain)
    if rng.random() < 0.35:
        bus = effects.chorus(bus, rng)
    if score.lead:
        lead = _choose_by_valence(instruments.leads, valence, rng)(touch, rng)
        notes = _with_echo(score) if rng.random() < 0.5 else score.lead
        _place_notes(bus, lead, notes, spread=0.15)
    if score.bass:
        bass = _choose(instruments.basses, rng)(touch, rng)
        _place_notes(bus, bass, score.bass, spread=0.0)
    return effects.drive(bus, 1.05 * attributes.roughness - 0.13)


def _render_drums(session: _Session, score: Score) -> Samples:
    bus = session.silence()
    kit = _choose(session.instruments.kits, session.rng)(session.touch, session.rng)
    leveled = {
        name: drum * np.float32(_DRUM_GAINS.get(name, 1.0) / (np.abs(drum).max() + 1e-6))
        for name, drum in kit.items()
    }
    for hit in score.drums:
        _place(bus, leveled[hit.drum], hit.start, hit.velocity, _DRUM_PANS.get(hit.drum, 0.0))
    return effects.drive(bus, 0.5 * session.attributes.roughness - 0.1)


def _choose(choices: Sequence[_T], rng: np.random.Generator) -> _T:
    return choices[int(rng.integers(len(choices)))]


def _choose_by_valence(choices: Sequence[_T], valence: float, rng: np.random.Generator) -> _T:
    """Choose an instrument near the valence; `choices` are ordered from sombre to cheerful."""
    place = float(np.clip(valence + rng.normal(0, 0.2), 0, 0.999))
    return choices[int(place * len(choices))]


def _with_echo(score: Score) -> list[Note]:
    """Return the lead with two echoes, a dotted eighth apart."""
    delay = 3 * score.clock.step_seconds
    return [
        type(note)(note.start + delay * turn, note.seconds, note.pitch, note.velocity * 0.35**turn)
        for turn in range(3)
        for note in score.lead
    ]


def _place_notes(bus: Samples, voice: Voice, notes: Sequence[Note], *, spread: float) -> None:
    """Place the notes of one part; each pitch has its own pan position within `spread`."""
    rendered: dict[tuple[int, float], Samples] = {}
    for note in notes:
        key = (note.pitch, max(0.04, round(note.seconds * 25) / 25))
        if key not in rendered:
            tone = voice(hertz_of(note.pitch), key[1])
            rendered[key] = tone * np.float32(_UNIT / (effects.rms(tone[: count(0.4)]) + 1e-6))
        pan = spread * np.sin(note.pitch * 2.4)
        _place(bus, rendered[key], note.start, note.velocity, pan)


def _place_chords(bus: Samples, pad: PadVoice, chords: Sequence[Chord], gain: float) -> None:
    rendered: dict[tuple[tuple[int, ...], float], Samples] = {}
    for chord in chords:
        key = (chord.pitches, max(0.5, round(chord.seconds * 4) / 4))
        if key not in rendered:
            rendered[key] = _at_level(
                0.0, pad([hertz_of(pitch) for pitch in chord.pitches], key[1])
            )
        _place(bus, rendered[key], chord.start, gain * chord.velocity, 0.0)


def _place(bus: Samples, sound: Samples, start: float, gain: float, pan: float) -> None:
    """Add a sound at `start` seconds; mono sounds are panned (-1..1) with constant power."""
    first = count(start)
    part = sound[..., : max(0, bus.shape[1] - first)]
    end = first + part.shape[-1]
    if part.ndim == 2:
        bus[:, first:end] += np.float32(gain) * part
        return
    angle = np.pi / 4 * (1 + pan)
    bus[0, first:end] += np.float32(gain * np.cos(angle)) * part
    bus[1, first:end] += np.float32(gain * np.sin(angle)) * part


def _add_room(session: _Session, dry: Samples) -> Samples:
    """Add reverberation and apply the tone control."""
    attributes, rng = session.attributes, session.rng
    gloom = 1 - 0.5 * (attributes.arousal + attributes.valence)  # gloomy music gets larger rooms
    wet = rng.uniform(0.05, 0.25) + 0.45 * gloom
    response = effects.room(rng.uniform(0.25, 0.7) + 1.3 * gloom, attributes.brightness, rng)
    send = (dry[0] + dry[1]) * np.float32(0.5 * wet)
    size = effects.fast_size(dry.shape[1] + response.shape[1])
    return effects.finish(dry, send, response, _tone_control(size, attributes))


def _tone_control(size: int, attributes: Attributes) -> NDArray[np.float32]:
    """Return equalizer gains: brightness as a tilt and a low-pass, plus a rumble filter."""
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ).astype(np.float32)
    top_hz = 2200 * 2 ** (3.2 * attributes.brightness)
    gains = lowpass(hertz, top_hz, order=1)
    gains *= effects.tilt(hertz, 5.5 * (attributes.brightness - 0.62))
    rumble = np.searchsorted(hertz, 200)
    gains[1:rumble] *= lowpass(1 / hertz[1:rumble], 1 / 28, order=3)
    gains[0] = 0
    return gains


def _master(samples: Samples, attributes: Attributes) -> Samples:
    """Compress according to `dynamics`, set the RMS from `loudness`, and limit the peaks."""
    level_db = _QUIETEST_DB + (_LOUDEST_DB - _QUIETEST_DB) * attributes.loudness
    even = effects.compress(samples, 0.9 * (1 - attributes.dynamics))
    out = effects.limit(even * np.float32(10 ** (level_db / 20) / (effects.rms(even) + 1e-9)))
    fade = np.linspace(0, 1, count(0.005), dtype=np.float32)  # no clicks at the edges
    out[:, : fade.size] *= fade
    out[:, -fade.size :] *= fade[::-1]
    return out
