"""Compose a piece: which notes each part plays, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from covergen.starter.musician.harmony import Harmony, choose_harmony
from covergen.starter.musician.rhythm import (
    STEPS_PER_BEAT,
    Clock,
    Groove,
    choose_clock,
    choose_groove,
    pattern,
)

if TYPE_CHECKING:
    from covergen.poster.attributes import Attributes


_CHORDS = 4  # per phrase
# The order of the notes of a broken chord, counted upwards and on into the next octave.
_ORDERS = {
    "up": (0, 1, 2, 3),
    "down": (3, 2, 1, 0),
    "wave": (0, 1, 2, 3, 4, 3, 2, 1),
    "alberti": (0, 2, 1, 2),
    "wide": (0, 3, 1, 4),
}


@dataclass(frozen=True, slots=True)
class Note:
    """A note held from `start` for `seconds`. pitch: MIDI; velocity: a gain, 1 for an accent."""

    start: float
    seconds: float
    pitch: int
    velocity: float


@dataclass(frozen=True, slots=True)
class Chord:
    """Pitches that a pad plays together."""

    start: float
    seconds: float
    pitches: tuple[int, ...]
    velocity: float


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit on the named drum."""

    start: float
    drum: str
    velocity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The parts of a piece; notes are in no particular order."""

    clock: Clock
    keys: list[Note] = field(default_factory=list)
    lead: list[Note] = field(default_factory=list)
    bass: list[Note] = field(default_factory=list)
    pad: list[Chord] = field(default_factory=list)
    drums: list[Hit] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phrase:
    """A section of four chords. `energy`: 1 is full volume in all parts."""

    first_step: int
    energy: float
    lead: bool
    drums: bool
    last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Motif:
    """A motif: onsets in sixteenths, scale degrees above a chord's root, and length in steps."""

    places: Sequence[int]
    degrees: Sequence[int]
    steps: int


class _Composer:
    """State shared by all parts of one piece, and one method per part."""

    def __init__(self, attributes: Attributes, rng: np.random.Generator) -> None:
        self.attributes = attributes
        self.rng = rng
        self.clock = choose_clock(attributes, rng)
        self.harmony: Harmony = choose_harmony(attributes, rng)
        self.groove: Groove = choose_groove(attributes, self.clock, rng)
        self.chord_steps = self._chord_steps()
        self.onsets_per_second = 0.7 + 7.5 * attributes.density**1.3
        self.register = 60 + 15 * (attributes.valence - 0.5) + 4 * (attributes.brightness - 0.5)
        # Joy is staccato, sadness legato: Juslin & Laukka 2003, "Communication of emotions".
        legato = 1.25 - 0.45 * attributes.arousal - 0.25 * attributes.rhythmicity
        legato -= 0.6 * (attributes.valence - 0.5)
        self.legato = float(np.clip(legato + rng.normal(0, 0.1), 0.3, 1.15))

    def _chord_steps(self) -> int:
        """A chord lasts one bar: two when bars are short or the music is calm, half when long."""
        bar_seconds = self.clock.bar_steps * self.clock.step_seconds
        if bar_seconds > 3.6 and self.clock.beats == 4:
            return self.clock.bar_steps // 2
        if bar_seconds < 1.7 or (bar_seconds < 2.2 and self.attributes.arousal < 0.4):
            return self.clock.bar_steps * 2
        return self.clock.bar_steps

    def time(self, step: float) -> float:
        """Return the onset time of a step, with human timing deviation."""
        return max(0.0, self.clock.seconds(step) + self.rng.normal(0, self.clock.jitter_seconds))

    def velocity(self, step: int, phrase: _Phrase) -> float:
        """Return the velocity of a step: accents on beats, the phrase's energy, and noise."""
        dynamics, rhythmicity = self.attributes.dynamics, self.attributes.rhythmicity
        place = step % self.clock.bar_steps
        beat = 1.0 if place == 0 else 0.8 if place % STEPS_PER_BEAT == 0 else 0.4
        accent_db = -(2 + 10 * rhythmicity) * (1 - beat)
        loud_db = -16 * dynamics * (1 - phrase.energy) + self.rng.normal(0, 0.5 + 4 * dynamics)
        return float(10 ** ((0.6 * accent_db + loud_db) / 20))

    def onsets(self, share: float, phrase: _Phrase, most: int = 99) -> float:
        """Return the number of notes per bar of a part that has `share` of the density."""
        bar_seconds = self.clock.bar_steps * self.clock.step_seconds
        full = share * self.onsets_per_second * bar_seconds
        return float(min(most, full * (0.5 + 0.5 * phrase.energy)))

    def bars(self, phrase: _Phrase) -> range:
        """Return the first step of each bar of a phrase."""
        end = phrase.first_step + _CHORDS * self.chord_steps
        return range(phrase.first_step, end, self.clock.bar_steps)

    def chord_index(self, step: int) -> int:
        """Return the index of the chord at a step."""
        return step // self.chord_steps

    # Parts

    def pad(self, phrase: _Phrase) -> Iterator[Chord]:
        for index in range(_CHORDS):
            step = phrase.first_step + index * self.chord_steps
            start = self.clock.seconds(step)
            held = self.clock.seconds(step + self.chord_steps) - start
            pitches = self.harmony.chord(self.chord_index(step), self.register - 2)
            yield Chord(start, held, pitches, self.velocity(0, phrase))

    def bass(self, phrase: _Phrase) -> Iterator[Note]:
        """Yield roots on strong steps, with octaves and fifths on weak ones."""
        onsets = max(1.0, self.onsets(0.32, phrase, most=8))
        bar = pattern(
            onsets, 0.4 + 0.6 * self.attributes.rhythmicity, self.rng, self.clock.bar_steps
        )
        bar = sorted({0, *bar})
        octaves = self.rng.random() < 0.3
        for first in self.bars(phrase):
            for place, after in zip(bar, [*bar[1:], self.clock.bar_steps], strict=True):
                step = first + place
                root = self.harmony.root(self.chord_index(step), 38)
                weak = place % (2 * STEPS_PER_BEAT) != 0
                jump = 12 if octaves and weak else 7 if weak and self.rng.random() < 0.12 else 0
                held = (after - place) * self.clock.step_seconds * min(1.0, self.legato + 0.15)
                yield Note(self.time(step), held, root + jump, self.velocity(step, phrase))

    def keys(self, phrase: _Phrase, style: str, share: float) -> Iterator[Note]:
        """Yield block, strummed or broken chords on a pattern repeated through the phrase."""
        regularity = 0.3 + 0.7 * self.attributes.rhythmicity
        bar = pattern(
            max(1.0, self.onsets(share, phrase)), regularity, self.rng, self.clock.bar_steps
        )
        turn = 0
        for first in self.bars(phrase):
            if self.rng.random() > self.attributes.rhythmicity + 0.2:
                bar = pattern(len(bar), regularity, self.rng, self.clock.bar_steps)
            for place, after in zip(bar, [*bar[1:], self.clock.bar_steps], strict=True):
                step = first + place
                pitches = self.harmony.chord(self.chord_index(step), self.register)
                velocity = self.velocity(step, phrase)
                held = (after - place) * self.clock.step_seconds * self.legato
                start = self.time(step)
                if style == "block":
                    for pitch in pitches:
                        yield Note(start, min(held, 2.5), pitch, 0.6 * velocity)
                elif style == "strum":
                    for position, pitch in enumerate(pitches):
                        yield Note(start + 0.018 * position, min(held, 2.5), pitch, 0.6 * velocity)
                else:
                    order = _ORDERS[style]
                    rank = order[turn % len(order)]
                    octave, member = divmod(rank, len(pitches))
                    yield Note(
                        start, max(held, 0.15), pitches[member] + 12 * octave, 0.9 * velocity
                    )
                    turn += 1

    def lead(self, phrase: _Phrase, motif: _Motif) -> Iterator[Note]:
        """Yield the motif transposed to every chord; the last phrase ends on the tonic."""
        mood = self.attributes.arousal + self.attributes.valence - 1
        near = self.register + 12 + 8 * mood
        length = motif.steps
        stop = _CHORDS * self.chord_steps
        root = 0
        for offset in range(0, stop, length):
            closing = offset + length >= stop
            index = self.chord_index(phrase.first_step + offset)
            root = self.harmony.progression[index % _CHORDS]
            root -= 7 * (root > 3)
            for number, place in enumerate(motif.places):
                step = phrase.first_step + offset + place
                rest = closing and number == len(motif.places) - 1
                degree = 0 if rest and phrase.last else root + motif.degrees[number]
                last_place = number == len(motif.places) - 1
                after = length if last_place else motif.places[number + 1]
                held = (after - place) * self.clock.step_seconds * self.legato
                yield Note(
                    self.time(step),
                    float(np.clip(held, 0.1, 2.0)),
                    self.harmony.pitch(degree, near),
                    self.velocity(step, phrase),
                )

    def drums(self, phrase: _Phrase) -> Iterator[Hit]:
        """Yield the groove, hi-hats according to density, and a fill at the end of the phrase."""
        steps, groove = self.clock.bar_steps, self.groove
        regular = self.attributes.rhythmicity
        hats = pattern(self.onsets(0.85, phrase), 0.35 + 0.65 * regular, self.rng, steps)
        starts = self.bars(phrase)
        for first in starts:
            fill = first == starts[-1] and self.attributes.density > 0.25
            fill_from = steps - int(self.rng.choice([2, 4, 8])) if fill else steps
            for drum, line in (
                ("kick", groove.kick),
                (groove.back_drum, groove.back),
                ("low_tom", groove.toms),
            ):
                for place in self._line(line, fill_from):
                    yield self._hit(drum, first + place, phrase)
            for place in hats:
                if place < fill_from:
                    is_open = place % STEPS_PER_BEAT == 2 and self.rng.random() < 0.15
                    drum = "open_hat" if is_open else "hat"
                    yield self._hit(drum, first + place, phrase, 0.6)
            stride = 1 if self.attributes.density > 0.6 else 2
            for place in range(fill_from, steps, stride):
                rank = (place - fill_from) * 3 // max(1, steps - fill_from)
                drum = ("snare", "high_tom", "low_tom")[rank]
                yield self._hit(drum, first + place, phrase, 0.8)

    def _line(self, line: str, end: int) -> Iterator[int]:
        """Yield the steps of a groove's line, thinned by low density, displaced by free rhythm."""
        for written in range(end):
            place = written
            if not line or line[place % len(line)] != "x":
                continue
            weak = place % STEPS_PER_BEAT != 0
            if self.rng.random() < (0.9 if weak else 0.45) * (1 - 1.6 * self.attributes.density):
                continue
            if self.rng.random() > self.attributes.rhythmicity + 0.45:
                place = int(self.rng.integers(end))
            yield place

    def _hit(self, drum: str, step: int, phrase: _Phrase, gain: float = 1.0) -> Hit:
        return Hit(self.time(step), drum, gain * self.velocity(step, phrase))


def _invent_motif(composer: _Composer) -> _Motif:
    """Draw a random walk on the scale, with chord tones on strong steps.

    Positive valence tends upwards, negative valence downwards.
    """
    rng, attributes = composer.rng, composer.attributes
    length = composer.chord_steps
    seconds = length * composer.clock.step_seconds
    onsets = float(np.clip(0.45 * composer.onsets_per_second * seconds, 1, 0.75 * length))
    places = pattern(onsets, 0.35 + 0.4 * attributes.rhythmicity, rng, length)
    degree = int(rng.choice([0, 2, 4, 4, 7]))
    degrees = []
    for place in places:
        if place % (2 * STEPS_PER_BEAT) == 0:
            degree = min((0, 2, 4, 7, 9), key=lambda tone: abs(tone - degree))
        degrees.append(degree)
        stride = rng.choice([1, 1, 1, 2, 3])
        rises = rng.random() < 0.5 + 0.25 * (attributes.valence - 0.5) - 0.06 * (degree - 4)
        degree = int(np.clip(degree + (stride if rises else -stride), -3, 10))
    return _Motif(places=places, degrees=degrees, steps=length)


def _phrases(composer: _Composer, seconds: float) -> list[_Phrase]:
    """Lay out phrases to fill `seconds`, some with all parts, some sparse."""
    attributes, rng = composer.attributes, composer.rng
    length = _CHORDS * composer.chord_steps
    number = int(np.ceil(seconds / (length * composer.clock.step_seconds) + 0.05))
    arcs = ((1, 1), (0.4, 1), (1, 0.4), (0.3, 1, 1), (1, 0.3, 1), (0.3, 0.7, 1, 0.4, 1))
    fitting = [arc for arc in arcs if len(arc) <= max(2, number)]
    arc = fitting[rng.integers(len(fitting))]
    sparseness = 0.2 + 0.8 * attributes.dynamics
    phrases = []
    for place in range(number):
        shape = arc[min(place * len(arc) // number, len(arc) - 1)]
        energy = 1 - sparseness * (1 - shape)
        phrases.append(
            _Phrase(
                first_step=place * length,
                energy=energy,
                lead=shape > 0.5,
                drums=energy > 0.55 or rng.random() < attributes.percussiveness,
                last=place == number - 1,
            )
        )
    return phrases


def compose(attributes: Attributes, rng: np.random.Generator, seconds: float) -> Score:
    """Compose a piece of at least `seconds`."""
    composer = _Composer(attributes, rng)
    score = Score(clock=composer.clock)
    drums = attributes.percussiveness > 0.08
    sustained = rng.random() < 0.95 - 0.6 * attributes.percussiveness
    styles = ("block", "block", "strum", *_ORDERS)
    style = styles[rng.integers(len(styles))]
    keys_share = (0.55 if drums else 0.85) * (1 if style in _ORDERS else 0.7)
    has_lead = rng.random() < 0.55 + 0.4 * attributes.density
    motif = _invent_motif(composer)
    for phrase in _phrases(composer, seconds):
        if sustained:
            score.pad.extend(composer.pad(phrase))
        score.keys.extend(composer.keys(phrase, style, keys_share))
        if attributes.density > 0.12 or attributes.arousal > 0.3:
            score.bass.extend(composer.bass(phrase))
        if has_lead and phrase.lead:
            score.lead.extend(composer.lead(phrase, motif))
        if drums and phrase.drums:
            score.drums.extend(composer.drums(phrase))
    return score
