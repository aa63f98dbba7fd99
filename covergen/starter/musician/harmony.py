"""Keys, modes, chord progressions and voicings. Pitches are MIDI numbers: 60 is middle C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from covergen.poster.attributes import Attributes


_STEPS = {
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "major": (0, 2, 4, 5, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}
# Degrees from 0. Each progression starts on the tonic, which establishes the key.
_PROGRESSIONS = {
    "lydian": ((0, 1, 0, 1), (0, 1, 4, 0)),
    "major": ((0, 3, 4, 0), (0, 4, 5, 3), (0, 3, 0, 4), (0, 5, 3, 4), (0, 4, 3, 0), (0, 1, 4, 0)),
    "mixolydian": ((0, 6, 3, 0), (0, 3, 6, 0), (0, 6, 0, 3)),
    "dorian": ((0, 3, 0, 3), (0, 2, 3, 0), (0, 6, 3, 0)),
    "minor": ((0, 5, 0, 6), (0, 3, 4, 0), (0, 6, 5, 0), (0, 5, 3, 4), (0, 3, 0, 6)),
    "harmonic minor": ((0, 3, 4, 0), (0, 5, 4, 0), (0, 3, 0, 4)),
    "phrygian": ((0, 1, 0, 1), (0, 1, 6, 0), (0, 0, 1, 0)),
}


def hertz_of(pitch: float) -> float:
    """Return the frequency of a MIDI pitch in equal temperament, A4 = 440 Hz."""
    return float(440 * 2 ** ((pitch - 69) / 12))


@dataclass(frozen=True, slots=True, kw_only=True)
class Harmony:
    """A key and a progression of four chords. `tonic`: pitch class, 0 is C.

    `progression`: the degrees of the roots. `tones`: the chord tones above a root, in scale steps.
    """

    tonic: int
    mode: str
    progression: tuple[int, ...]
    tones: tuple[int, ...]

    def pitch(self, degree: int, near: float = 60.0) -> int:
        """Return the pitch of a scale degree, any integer; 0 is the tonic nearest to `near`."""
        octave, step = divmod(degree, 7)
        bottom = self.tonic + 12 * round((near - self.tonic) / 12)
        return int(bottom + 12 * octave + _STEPS[self.mode][step])

    def chord(self, index: int, near: float) -> tuple[int, ...]:
        """Return the pitches of a chord, low to high, each in the octave nearest to `near`."""
        root = self.progression[index % len(self.progression)]
        pitches = [self.pitch(root + tone, near) for tone in self.tones]
        return tuple(sorted({p - 12 * round((p - near) / 12) for p in pitches}))

    def root(self, index: int, near: float) -> int:
        """Return the root of a chord in the octave nearest to `near`."""
        pitch = self.pitch(self.progression[index % len(self.progression)], near)
        return pitch - 12 * round((pitch - near) / 12)


def choose_harmony(attributes: Attributes, rng: np.random.Generator) -> Harmony:
    """Choose a mode from the attributes, lydian to phrygian, and a random key."""
    mode, valence = attributes.mode, attributes.valence
    if mode >= 0.5:
        weights = {
            "major": 1.0,
            "lydian": 0.25 * (valence > 0.6),
            "mixolydian": 0.4 * (mode < 0.8),
        }
    else:
        weights = {
            "minor": 1.0,
            "dorian": 0.5 * (mode > 0.25),
            "harmonic minor": 0.4 * (mode < 0.4),
            "phrygian": 0.5 * (valence < 0.3),
        }
    names = list(weights)
    chances = np.array([weights[name] for name in names])
    name = names[rng.choice(len(names), p=chances / chances.sum())]
    if rng.random() < 0.9 * (0.4 - valence):
        tones: tuple[int, ...] = (0, 1, 2, 4)  # a dissonant cluster for negative valence
    elif rng.random() < 0.15 + 0.3 * attributes.density:
        tones = (0, 2, 4, 6)
    else:
        tones = (0, 2, 4)
    return Harmony(
        tonic=int(rng.integers(12)),
        mode=name,
        progression=_PROGRESSIONS[name][rng.integers(len(_PROGRESSIONS[name]))],
        tones=tones,
    )
