"""Paint a cover from music attributes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from covergen.core.color import cielab_from_linear, linear_from_oklab, srgb_from_linear
from covergen.poster.painter.caption import COMPOSITIONS, describe
from covergen.poster.painter.direction import direct, measure, tone, weave
from covergen.poster.painter.families import (
    brush,
    flow,
    grooves,
    halftone,
    horizon,
    mesh,
    moire,
    paper,
    ridges,
    swiss,
    truchet,
)
from covergen.poster.painter.features import edge_density, element_scale
from covergen.poster.painter.ink_sheet import Sheet, lerp, pick
from covergen.poster.painter.palette import draw_palette, tune
from covergen.poster.painter.style import Style, parse_style
from covergen.poster.painter.texture import add_texture, draw_texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.core.color import Floats
    from covergen.poster.attributes import Attributes
    from covergen.poster.painter.direction import Direction, Tone, Weave


FAMILIES = dict(
    zip(
        COMPOSITIONS,
        (swiss, mesh, flow, paper, grooves, ridges, truchet, moire, halftone, brush, horizon),
        strict=True,
    )
)

_SKETCHES = 16
_CLOSE_ENOUGH = 1.9
_SKETCH_SIZE = 128
_STRIP = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Painting:
    """A picture, (size, size, 3) uint8 sRGB, and its caption; `texture` is one of TEXTURES."""

    pixels: NDArray[np.uint8]
    caption: str
    family: str
    texture: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sketch:
    """A low-resolution draft: its forms, given by direction and seed, and its inks.

    `tone` is measured; `miss` is the draft's distance from the target, in tolerances.
    """

    direction: Direction
    seed: int
    inks: Floats
    tone: Tone
    miss: float


def paint(
    attributes: Attributes,
    rng: np.random.Generator,
    *,
    size: int = 512,
    style: str | None = None,
    grain: bool = True,
) -> Painting:
    """Paint a cover for a piece of music.

    Up to 16 low-resolution sketches are drawn, and the one closest to the target is painted.
    `size` must be even. `style` is parsed by `parse_style`, which may raise ValueError; a random
    family if None. `grain` only changes the surface of the picture.
    """
    drawn = Style(family=pick(rng, tuple(FAMILIES)))
    chosen = drawn if style is None else parse_style(style)
    target = _Target(direct(attributes, rng), tone(attributes, rng), weave(attributes, rng))
    texture = draw_texture(attributes, rng)
    sketch = _best_sketch(chosen, target, rng)
    sheet = _draw(chosen, sketch.direction, sketch.seed, size)
    pixels = srgb_from_linear(_linear(sheet, sketch.inks))
    if grain:
        pixels = add_texture(pixels, texture, rng)
    caption = describe(chosen.family, sheet, sketch.inks, sketch.tone, sketch.direction)
    return Painting(pixels=pixels, caption=caption, family=chosen.family, texture=texture)


class _Target(NamedTuple):
    direction: Direction
    tone: Tone
    weave: Weave


def _best_sketch(style: Style, target: _Target, rng: np.random.Generator) -> _Sketch:
    """Return the first sketch that is close enough to the target, or the closest of all."""
    best = _sketch(style, target, rng)
    for _ in range(_SKETCHES - 1):
        if best.miss < _CLOSE_ENOUGH:
            break
        best = min(best, _sketch(style, target, rng), key=lambda sketch: sketch.miss)
    return best


def _sketch(style: Style, target: _Target, rng: np.random.Generator) -> _Sketch:
    direction, seed = target.direction.varied(rng), int(rng.integers(1 << 63))
    sheet = _draw(style, direction, seed, _SKETCH_SIZE)
    inks = draw_palette(target.tone, rng)
    inks = tune(inks, sheet, target.tone)
    lab = cielab_from_linear(np.clip(_linear(sheet, inks), 0, 1))
    measured = measure(lab)
    misses = (
        (edge_density(lab) - target.weave.edge_density) / 0.16,
        (element_scale(lab) - target.weave.element_scale) / 0.11,
        (measured.lightness - target.tone.lightness) / 4,
        (measured.chroma - target.tone.chroma) / 3,
        (measured.a - target.tone.a) / 4,
        (measured.b - target.tone.b) / 4,
    )
    miss = math.hypot(*misses)
    return _Sketch(direction=direction, seed=seed, inks=inks, tone=measured, miss=miss)


def _draw(style: Style, direction: Direction, seed: int, size: int) -> Sheet:
    """Draw a sheet. The same seed gives the same picture at any size."""
    rng = np.random.default_rng(seed)
    sheet = Sheet(size, style)
    FAMILIES[style.family].compose(sheet, direction, rng)
    _light(sheet, direction, rng)
    return sheet


def _light(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Light the whole sheet softly, from one side or from the middle."""
    across, _ = sheet.turned(rng.uniform(0, math.tau))
    radius, _ = sheet.polar(rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7))
    fall = across if rng.uniform() < 0.5 else 0.45 - radius
    sheet.shade(1 + rng.uniform(0.4, 1.0) * lerp(0.08, 0.2, direction.scale) * fall)


def _linear(sheet: Sheet, inks: Floats) -> Floats:
    """Convert the sheet to linear light, (size, size, 3), in strips that fit the CPU cache."""
    strips = []
    for top in range(0, sheet.size, _STRIP):
        weights = sheet.weights[:, top : top + _STRIP].reshape(len(inks), -1)
        light = sheet.light[top : top + _STRIP].reshape(-1, 1)
        strips.append(linear_from_oklab((weights.T @ inks) * light))
    return np.concatenate(strips).reshape(sheet.size, sheet.size, 3)
