"""Ink brush: a few broad strokes that run dry, as rings, bars, waves and discs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.painter.composition import draw_one, stage
from covergen.poster.painter.ink_sheet import Ink, cloud, lerp, pick, profile, smooth

if TYPE_CHECKING:
    from covergen.core.color import Floats
    from covergen.poster.painter.direction import Direction
    from covergen.poster.painter.ink_sheet import Sheet


def compose(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Draw a random composition."""
    draw_one(sheet, direction, rng, (_enso, _bars, _swash, _moon))


def _stroke(
    sheet: Sheet,
    along: Floats,
    across: Floats,
    width: float,
    direction: Direction,
    rng: np.random.Generator,
) -> Floats:
    """Return the mask of a stroke.

    `along` runs from 0 to 1 along the stroke, `across` is the distance from its center line. The
    bristles leave streaks that widen into gaps where the brush runs dry, earlier in rough music.
    """
    size = sheet.size
    hairs = profile(rng, size, 14) + 0.6 * profile(rng, size, min(34, 9 + 80 * width))
    place = np.clip((across / width + 0.5) * (size - 1), 0, size - 1).astype(np.int32)
    patches = cloud(rng, size, 5)
    dry = smooth((along - lerp(0.75, 0.35, direction.jag)) / 0.6) * 1.5
    wet = 0.95 + 0.45 * hairs[place] + 0.3 * patches - dry
    wobble = 0.03 * cloud(rng, size, 6) + lerp(0.01, 0.06, direction.jag) * hairs[place]
    body = sheet.cover(width * (0.47 + wobble) - np.abs(across), 0.004)
    ends = sheet.cover(np.minimum(along, 1 - along) * width * 3 + wobble * width * 2, 0.006)
    return (body * ends * sheet.cover((wet - 0.25) * width / 30)).astype(np.float32)


def _enso(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """A ring drawn in one stroke."""
    x, y, reach = stage(sheet, direction, rng, small=0.15, large=0.5)
    radius, angle = sheet.polar(x, y)
    start = rng.uniform(0, math.tau)
    along = ((angle - start) % math.tau / math.tau).astype(np.float32)
    drift = reach * (0.86 + 0.12 * along + 0.05 * np.sin(angle * 2 + start))
    width = reach * lerp(0.34, 0.5, direction.scale)
    sheet.lay(Ink.MAIN, _stroke(sheet, along * 1.06, radius - drift, width, direction, rng))
    if rng.uniform() < 0.65:
        sheet.lay(Ink.SPARK, sheet.disc(x, y, reach * rng.uniform(0.14, 0.3)))


def _bars(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Strokes side by side."""
    x, y, reach = stage(sheet, direction, rng, small=0.19, large=0.75)
    across, down = sheet.turned(math.radians(pick(rng, (0, 90, 45, -45, -20))), x, y)
    number = 2 + round(4 * direction.count)
    pitch = 2 * reach / number
    inks = [Ink(k) for k in rng.permutation([Ink.MAIN, Ink.SECOND, Ink.THIRD])]
    for bar in range(number):
        middle = (bar + 0.5) * pitch - reach
        length = reach * rng.uniform(1.6, 2.1)
        start = -length / 2 + rng.uniform(-0.15, 0.15) * reach
        along = (across - start) / length
        along = 1 - along if rng.uniform() < 0.4 else along
        bend = 0.05 * reach * np.sin(across / reach * 2 + rng.uniform(0, 6))
        ink = Ink.SPARK if bar == number - 1 and rng.uniform() < 0.4 else inks[bar % 3]
        sheet.lay(ink, _stroke(sheet, along, down - middle + bend, pitch * 0.86, direction, rng))


def _swash(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """One or two broad wavy strokes across the sheet."""
    x, y, reach = stage(sheet, direction, rng, small=0.2, large=0.75)
    turn = rng.uniform(-0.6, 0.6)
    across, down = sheet.turned(turn, x, y)
    for stroke, ink in enumerate((Ink.MAIN, Ink.SECOND)[: 1 + round(direction.count)]):
        width = reach * lerp(0.42, 0.6, direction.scale) * 0.85**stroke
        swing = reach * rng.uniform(0.25, 0.45)
        phase = rng.uniform(0, math.tau)
        beat = rng.uniform(2.4, 3.4) / reach
        line = swing * np.sin(across * beat + phase) + (stroke - 0.5) * reach * 0.5
        slope = np.hypot(1, swing * beat * np.cos(across * beat + phase))
        along = (across / reach + 1) / 2
        sheet.lay(ink, _stroke(sheet, along, (down - line) / slope, width, direction, rng))
    sheet.lay(
        Ink.SPARK,
        sheet.disc(x + reach * rng.uniform(-0.7, 0.7), y - reach * 0.62, reach * 0.15),
    )


def _moon(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """A disc filled with parallel strokes."""
    x, y, reach = stage(sheet, direction, rng, small=0.16, large=0.58)
    across, down = sheet.turned(math.radians(pick(rng, (0, -20, 30, 90))), x, y)
    strokes = 3 + round(4 * direction.count)
    pitch = 2 * reach / strokes
    inks = pick(rng, ((Ink.MAIN, Ink.MAIN), (Ink.MAIN, Ink.SECOND)))
    if rng.uniform() < 0.4:
        sheet.lay(Ink.THIRD, sheet.disc(x + reach * 0.12, y + reach * 0.12, reach))
    for stroke in range(strokes):
        middle = (stroke + 0.5) * pitch - reach
        half = math.sqrt(reach**2 - middle**2) * rng.uniform(1.0, 1.15)
        along = (across + half) / (2 * half)
        along = 1 - along if stroke % 2 else along
        mask = _stroke(sheet, along, down - middle, pitch * 1.02, direction, rng)
        sheet.lay(inks[stroke % 2], mask)
