"""Rhythm: the grid of sixteenths, metrical strength, patterns and drum grooves."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sin
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from covergen.poster.attributes import Attributes
    from covergen.starter.musician.tones import Numbers


STEPS_PER_BEAT = 4  # sixteenths


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Converts steps to seconds. `beats`: per bar. `swing`: 0 is straight, 1 is triplets.

    `rubato`: the amplitude, in beats, of a tempo drift with a period of `rubato_period` beats.
    `jitter_seconds`: the standard deviation of a note's onset.
    """

    tempo_bpm: float
    beats: int
    swing: float
    rubato: float
    rubato_period: float
    jitter_seconds: float

    @property
    def bar_steps(self) -> int:
        """The number of sixteenths in a bar."""
        return self.beats * STEPS_PER_BEAT

    @property
    def step_seconds(self) -> float:
        """The mean duration of a sixteenth."""
        return 60 / self.tempo_bpm / STEPS_PER_BEAT

    def seconds(self, step: float) -> float:
        """Return the time of a step from the start."""
        beat, part = divmod(step / STEPS_PER_BEAT, 1)
        middle = 0.5 + self.swing / 6
        part = part * 2 * middle if part < 0.5 else middle + (part - 0.5) * 2 * (1 - middle)
        place = beat + part
        place += self.rubato * sin(2 * pi * place / self.rubato_period)
        return place * 60 / self.tempo_bpm


def choose_clock(attributes: Attributes, rng: np.random.Generator) -> Clock:
    """Choose metre, swing and timing; less rhythmic music has looser timing."""
    free = 1 - attributes.rhythmicity
    swings = 60 < attributes.tempo_bpm < 150 and rng.random() < 0.1 + 0.25 * attributes.valence
    return Clock(
        tempo_bpm=attributes.tempo_bpm,
        beats=3 if rng.random() < 0.12 else 4,
        swing=float(rng.uniform(0.5, 1)) if swings else 0.0,
        rubato=0.45 * free**2.5,
        rubato_period=float(rng.uniform(5, 9)),
        jitter_seconds=0.001 + 0.06 * free**3,
    )


def _strength(steps: int) -> Numbers:
    """Return the metrical strength, 0..1, of the steps of a bar (Lerdahl & Jackendoff 1983)."""
    place = np.arange(steps)
    levels = [place == 0, (place % 8 == 0) & (steps % 8 == 0), place % 4 == 0, place % 2 == 0]
    return np.asarray(np.sum(levels, axis=0) / 4, np.float64)


def pattern(onsets: float, regularity: float, rng: np.random.Generator, steps: int) -> list[int]:
    """Draw about `onsets` steps of a bar: the strongest at `regularity` 1, random ones at 0."""
    whole = int(onsets) + (rng.random() < onsets % 1)
    appeal = regularity * _strength(steps) + (1.02 - regularity) * rng.random(steps)
    chosen = np.argsort(-appeal, kind="stable")[: max(0, min(whole, steps))]
    return sorted(chosen.tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class Groove:
    """A bar of drums as strings of sixteenths; `back_drum` plays the backbeat."""

    kick: str
    back: str
    toms: str = ""
    back_drum: str = "snare"


_GROOVES = {
    "still": Groove(kick="x.......", back="........"),
    "half": Groove(kick="x.....x...x.....", back="........x......."),
    "rock": Groove(kick="x.......x.x.....", back="....x.......x..."),
    "march": Groove(kick="x.......x.......", back="....x..x....x.xx"),
    "floor": Groove(kick="x...x...x...x...", back="....x.......x...", back_drum="clap"),
    "break": Groove(kick="x.x.......x..x..", back="....x..x.x..x..x"),
    "tribal": Groove(
        kick="x.......x.......", back="............x...", toms="..x..x....x..xx.", back_drum="clap"
    ),
    "drive": Groove(kick="x.x...x.x.x...x.", back="....x.......x..."),
}
_WALTZ = Groove(kick="x...........", back="....x...x...")


def choose_groove(attributes: Attributes, clock: Clock, rng: np.random.Generator) -> Groove:
    """Choose a groove that suits the arousal."""
    if clock.beats == 3:
        return _WALTZ
    calm, middle, driving = (
        ("still", "half", "tribal"),
        ("half", "rock", "march", "tribal", "floor"),
        ("floor", "break", "drive", "rock"),
    )
    mood = attributes.arousal + rng.normal(0, 0.1)
    names = calm if mood < 0.3 else middle if mood < 0.65 else driving
    return _GROOVES[names[rng.integers(len(names))]]
