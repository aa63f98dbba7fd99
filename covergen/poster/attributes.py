"""What the musician and the painter both understand of a piece: the starter world's vocabulary."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FASTEST_BPM", "SLOWEST_BPM", "Attributes", "draw_attributes"]

SLOWEST_BPM = 50.0
FASTEST_BPM = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """A piece of music in eleven numbers. All are 0..1 but `tempo_bpm` (50..180).

    `mode` runs from minor (0) to major (1), `dynamics` from even to swelling, `brightness` is the
    spectrum's, `density` is of events, `roughness` is of timbre (noise, distortion),
    `rhythmicity` is the regularity of the pulse, `percussiveness` is 0 for purely tonal.
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

    @property
    def row(self) -> list[float]:
        """All eleven on the scale 0..1, in their order, the tempo by its pace."""
        return list(astuple(replace(self, tempo_bpm=self.pace)))

    @property
    def pace(self) -> float:
        """The tempo on the scale 0..1."""
        return (self.tempo_bpm - SLOWEST_BPM) / (FASTEST_BPM - SLOWEST_BPM)


def draw_attributes(rng: np.random.Generator) -> Attributes:
    """A piece at random: arousal and valence uniform on the square, the rest follows them.

    The directions are those of the listening tests that Eerola, Friberg & Bresin 2013 gather
    (Front. Psychol. 4:487); the share of chance in each is this world's own.
    """
    arousal, valence = rng.uniform(size=2)

    def follow(by_arousal: float, by_valence: float) -> float:
        """A mean of arousal, valence (mirrored where the weight is negative) and chance."""
        parts = [
            (abs(by_arousal), arousal if by_arousal > 0 else 1 - arousal),
            (abs(by_valence), valence if by_valence > 0 else 1 - valence),
            (1 - abs(by_arousal) - abs(by_valence), rng.uniform()),
        ]
        mean = sum(weight * value for weight, value in parts)
        return float(mean * mean * (3 - 2 * mean))  # a mean crowds the middle: spread it again

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
