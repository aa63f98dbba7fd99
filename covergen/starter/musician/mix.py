"""From a score to sound: every distinct note is rendered once, its copies laid out and mixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from covergen.starter.musician import effects
from covergen.starter.musician.harmony import hertz_of
from covergen.starter.musician.instruments import InstrumentSet, Touch
from covergen.starter.musician.tones import SAMPLE_RATE_HZ, count, lowpass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from covergen.poster.attributes import Attributes
    from covergen.starter.musician.instruments import PadVoice, Voice
    from covergen.starter.musician.score import Chord, Note, Score
    from covergen.starter.musician.tones import Samples

__all__ = ["perform"]

_T = TypeVar("_T")

_QUIETEST_DB, _LOUDEST_DB = -34.0, -12.0  # RMS below full scale
_UNIT = 0.1  # the RMS at which parts are mixed
_DRUM_GAINS = {"kick": 0.8, "low_tom": 0.8, "high_tom": 0.8}
_DRUM_PANS = {"hat": 0.3, "open_hat": 0.3, "high_tom": -0.35, "low_tom": 0.4, "clap": -0.1}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """What all parts of one performance share."""

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
    dry = _at(0.0, _tonal(session, score))
    if score.drums:
        dry += _at(-22 + 36 * attributes.percussiveness, _drums(session, score))
    if rng.random() < 0.25 + 0.75 * attributes.roughness:
        texture = _any(instruments.textures, rng)(seconds, touch, rng)
        dry += _at(-34 + 20 * attributes.roughness + rng.uniform(-4, 4), texture)
    return _mastered(_in_room(session, dry), attributes)


def _at(db: float, part: Samples) -> Samples:
    """The part at a level in relation to `_UNIT`."""
    gain = _UNIT * 10 ** (db / 20) / (effects.rms(part) + 1e-6)
    return part * np.float32(gain)


def _tonal(session: _Session, score: Score) -> Samples:
    """Everything that has a pitch."""
    attributes, touch, rng = session.attributes, session.touch, session.rng
    instruments, valence = session.instruments, session.attributes.valence
    bus = session.silence()
    keys = _suited(instruments.keys, valence, rng)(touch, rng)
    _lay_notes(bus, keys, score.keys, spread=0.5)
    if score.pad:
        # Distorted, a full pad drowns everything.
        gain = (0.9 - 0.5 * attributes.arousal) * (1 - 0.6 * attributes.roughness)
        pad = _suited(instruments.pads, valence, rng)(touch, rng)
        _lay_chords(bus, pad, score.pad, gain)
    if rng.random() < 0.35:
        bus = effects.chorus(bus, rng)
    if score.lead:
        lead = _suited(instruments.leads, valence, rng)(touch, rng)
        notes = _with_echo(score) if rng.random() < 0.5 else score.lead
        _lay_notes(bus, lead, notes, spread=0.15)
    if score.bass:
        bass = _any(instruments.basses, rng)(touch, rng)
        _lay_notes(bus, bass, score.bass, spread=0.0)
    return effects.drive(bus, 1.05 * attributes.roughness - 0.13)


def _drums(session: _Session, score: Score) -> Samples:
    bus = session.silence()
    kit = _any(session.instruments.kits, session.rng)(session.touch, session.rng)
    leveled = {
        name: drum * np.float32(_DRUM_GAINS.get(name, 1.0) / (np.abs(drum).max() + 1e-6))
        for name, drum in kit.items()
    }
    for hit in score.drums:
        _place(bus, leveled[hit.drum], hit.start, hit.velocity, _DRUM_PANS.get(hit.drum, 0.0))
    return effects.drive(bus, 0.5 * session.attributes.roughness - 0.1)


def _any(choices: Sequence[_T], rng: np.random.Generator) -> _T:
    return choices[int(rng.integers(len(choices)))]


def _suited(choices: Sequence[_T], valence: float, rng: np.random.Generator) -> _T:
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


def _lay_notes(bus: Samples, voice: Voice, notes: Sequence[Note], *, spread: float) -> None:
    """Place the notes of one part, each pitch at a place of its own within `spread`."""
    rendered: dict[tuple[int, float], Samples] = {}
    for note in notes:
        key = (note.pitch, max(0.04, round(note.seconds * 25) / 25))
        if key not in rendered:
            tone = voice(hertz_of(note.pitch), key[1])
            rendered[key] = tone * np.float32(_UNIT / (effects.rms(tone[: count(0.4)]) + 1e-6))
        pan = spread * np.sin(note.pitch * 2.4)
        _place(bus, rendered[key], note.start, note.velocity, pan)


def _lay_chords(bus: Samples, pad: PadVoice, chords: Sequence[Chord], gain: float) -> None:
    rendered: dict[tuple[tuple[int, ...], float], Samples] = {}
    for chord in chords:
        key = (chord.pitches, max(0.5, round(chord.seconds * 4) / 4))
        if key not in rendered:
            rendered[key] = _at(0.0, pad([hertz_of(pitch) for pitch in chord.pitches], key[1]))
        _place(bus, rendered[key], chord.start, gain * chord.velocity, 0.0)


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


def _in_room(session: _Session, dry: Samples) -> Samples:
    """The mix in its room, through the tone control."""
    attributes, rng = session.attributes, session.rng
    gloom = 1 - 0.5 * (attributes.arousal + attributes.valence)  # dwells in larger rooms
    wet = rng.uniform(0.05, 0.25) + 0.45 * gloom
    response = effects.room(rng.uniform(0.25, 0.7) + 1.3 * gloom, attributes.brightness, rng)
    send = (dry[0] + dry[1]) * np.float32(0.5 * wet)
    size = effects.fast_size(dry.shape[1] + response.shape[1])
    return effects.finish(dry, send, response, _tone_control(size, attributes))


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


def _mastered(samples: Samples, attributes: Attributes) -> Samples:
    """Compressed by the dynamics, at the RMS that the loudness asks for, no peak cut off."""
    level_db = _QUIETEST_DB + (_LOUDEST_DB - _QUIETEST_DB) * attributes.loudness
    even = effects.compress(samples, 0.9 * (1 - attributes.dynamics))
    out = effects.limit(even * np.float32(10 ** (level_db / 20) / (effects.rms(even) + 1e-9)))
    fade = np.linspace(0, 1, count(0.005), dtype=np.float32)  # the edges of an excerpt
    out[:, : fade.size] *= fade
    out[:, -fade.size :] *= fade[::-1]
    return out
