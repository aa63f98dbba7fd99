"""Map music attributes to the targets for a picture's forms and overall color."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from covergen.core.color import Floats
    from covergen.poster.attributes import Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """Parameters of the forms, each 0..1.

    `scale` is the size of the figure and its elements, `count` their number, `order` how regular
    they are, `jag` the roughness of edges and surfaces.
    """

    scale: float
    count: float
    order: float
    jag: float

    def varied(self, rng: np.random.Generator) -> Direction:
        """Return a variation: slightly larger or smaller, with a random number of elements."""
        return replace(
            self,
            scale=min(max(self.scale + rng.uniform(-0.18, 0.18), 0.0), 1.0),
            count=float(rng.uniform()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Weave:
    """Target amount and size of forms, as measured by `features.Features`."""

    edge_density: float
    element_scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """Means over the picture in CIE L*a*b*; `contrast` is the standard deviation of L*."""

    lightness: float
    chroma: float
    a: float
    b: float
    contrast: float


def direct(attributes: Attributes, rng: np.random.Generator) -> Direction:
    """Draw the forms: loud, fast music gives large forms; quiet music gives small ones."""
    at = attributes

    def near(value: float) -> float:
        return min(max(value + rng.normal(0, 0.05), 0.0), 1.0)

    return Direction(
        scale=near(0.85 * at.arousal + 0.15 * at.loudness),
        count=near(0.5 * at.arousal + 0.5 * at.density),
        order=near(0.7 * at.rhythmicity + 0.3 * at.pace),
        jag=near(0.8 * at.roughness + 0.2 * at.arousal),
    )


def weave(attributes: Attributes, rng: np.random.Generator) -> Weave:
    """Draw the amount and size of forms.

    Arousal brings more edges and larger forms; density and roughness bring more edges.
    """
    at = attributes
    busy = 0.7 * at.arousal + 0.2 * at.density + 0.1 * at.roughness
    return Weave(
        edge_density=-3.7 + 1.4 * busy + rng.normal(0, 0.05),
        element_scale=-2.35 + 0.8 * at.arousal + rng.normal(0, 0.03),
    )


def tone(attributes: Attributes, rng: np.random.Generator) -> Tone:
    """Draw the color: sad is dark blue, angry dark red, serene pale, joyful bright warm yellow.

    Palmer et al. 2013 (PNAS 110:8836); Lindborg & Friberg 2015 (PLOS ONE 10:e0144013).
    """

    def between(calm_sad: float, angry: float, serene: float, joyful: float) -> float:
        low = calm_sad + (serene - calm_sad) * attributes.valence
        high = angry + (joyful - angry) * attributes.valence
        return low + (high - low) * attributes.arousal

    chroma = max(between(27, 52, 27, 60) + rng.normal(0, 3), 12.0)
    a = between(-4, 38, -9, 16) + rng.normal(0, 2.5)
    b = between(-26, -2, 15, 41) + rng.normal(0, 3)
    # Mixed moods must not turn gray: where the hue is undecided, the noise decides it.
    away = max(0.62 * chroma / max(math.hypot(a, b), 1e-6), 1.0)
    chroma = 0.45 * chroma + 0.55 * 1.3 * away * math.hypot(a, b)
    return Tone(
        lightness=between(26, 35, 84, 75) + rng.normal(0, 2.5),
        chroma=chroma,
        a=a * away,
        b=b * away,
        contrast=between(13, 26, 12, 24) + rng.normal(0, 2),
    )


def measure(lab: Floats) -> Tone:
    """Measure the tone of a picture in CIE L*a*b*, (height, width, 3)."""
    return Tone(
        lightness=float(lab[..., 0].mean()),
        chroma=float(np.hypot(lab[..., 1], lab[..., 2]).mean()),
        a=float(lab[..., 1].mean()),
        b=float(lab[..., 2].mean()),
        contrast=float(lab[..., 0].std()),
    )
