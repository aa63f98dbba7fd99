"""The attributes of a piece of music that both the musician and the painter work from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import numpy as np


SLOWEST_BPM = 50.0
FASTEST_BPM = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """Eleven attributes of a piece of music. All are 0..1 except `tempo_bpm` (50..180).

    `mode` runs from minor (0) to major (1), `dynamics` from constant to strongly varying level.
    `brightness` is spectral, `density` is of note onsets, `roughness` is of timbre (noise,
    distortion), `rhythmicity` is the regularity of the pulse, `percussiveness` is 0 for purely
    tonal music.
    """

    arousal: float
    valence: float
    tempo_bpm: float
    mode: float
    loudness: float
    dynamics: float
    brightness: float
    density: float
    roughness: float
    rhythmicity: float
    percussiveness: float

    @classmethod
    def from_row(cls, row: Sequence[float]) -> Self:
        """Return the attributes with a given `row`."""
        scaled = cls(**dict(zip((field.name for field in fields(cls)), row, strict=True)))
        tempo = SLOWEST_BPM + (FASTEST_BPM - SLOWEST_BPM) * scaled.tempo_bpm
        return replace(scaled, tempo_bpm=tempo)

    @property
    def row(self) -> list[float]:
        """All eleven attributes in field order, each 0..1; the tempo is given as `pace`."""
        return list(astuple(replace(self, tempo_bpm=self.pace)))

    @property
    def pace(self) -> float:
        """The tempo, scaled to 0..1."""
        return (self.tempo_bpm - SLOWEST_BPM) / (FASTEST_BPM - SLOWEST_BPM)


def draw_attributes(rng: np.random.Generator) -> Attributes:
    """Draw random attributes: arousal and valence are uniform, the others correlate with them.

    The signs of the correlations are those that Eerola, Friberg & Bresin 2013 (Front. Psychol.
    4:487) report from listening tests; their strengths are our choice.
    """
    arousal, valence = rng.uniform(size=2)

    def follow(by_arousal: float, by_valence: float) -> float:
        """Return a weighted mean of arousal, valence and noise; a negative weight inverts."""
        parts = [
            (abs(by_arousal), arousal if by_arousal > 0 else 1 - arousal),
            (abs(by_valence), valence if by_valence > 0 else 1 - valence),
            (1 - abs(by_arousal) - abs(by_valence), rng.uniform()),
        ]
        mean = sum(weight * value for weight, value in parts)
        return float(mean * mean * (3 - 2 * mean))  # means cluster around 0.5: spread them out

    return Attributes(
        arousal=float(arousal),
        valence=float(valence),
        tempo_bpm=SLOWEST_BPM + (FASTEST_BPM - SLOWEST_BPM) * follow(0.50, 0.15),
        mode=follow(0.05, 0.60),
        loudness=follow(0.60, -0.05),
        dynamics=follow(-0.30, -0.10),
        brightness=follow(0.40, 0.20),
        density=follow(0.50, 0.10),
        roughness=follow(0.40, -0.30),
        rhythmicity=follow(0.40, 0.15),
        percussiveness=follow(0.45, 0.05),
    )
