"""Ridge lines: rows of profiles, each hiding what is behind it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.painter.composition import draw_one
from covergen.poster.painter.ink_sheet import Ink, cloud, lerp, pick, profile, smooth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.poster.painter.direction import Direction
    from covergen.poster.painter.ink_sheet import Sheet


def compose(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Draw a random composition."""
    draw_one(sheet, direction, rng, (_lines, _ranges, _crown))


def _profiles(
    rng: np.random.Generator, rows: int, size: int, direction: Direction
) -> NDArray[np.float32]:
    """Return heights of 0..1.3, (rows, size): smooth hills, jagged in rough music."""
    hills = np.abs(cloud(rng, size, lerp(9, 4, direction.scale), 1.2)[:: size // rows][:rows])
    extra = cloud(rng, size, 14, 3)[:: size // rows][:rows]
    return np.clip(hills + 0.3 * max(direction.jag - 0.35, 0) * np.abs(extra), 0, 1.3)


def _lines(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """A stack of lines that rise in the middle, like a plot of a pulsar's pulses."""
    side = lerp(0.56, 0.92, direction.scale / 0.65) if direction.scale < 0.65 else 1.3
    rows = 5 + round(4 * direction.count)
    pitch = side / rows
    thick = pitch * 0.18
    center = rng.uniform(-0.15, 0.15) * side
    hump = np.exp(-(((sheet.x[0] - 0.5 - center) / (side * 0.19)) ** 2))
    heights = _profiles(rng, rows, sheet.size, direction) * hump * pitch * rng.uniform(1.3, 2.1)
    foot = 0.5 + side * 0.5
    inside = sheet.cover(np.minimum(side / 2 - np.abs(sheet.x - 0.5), foot - sheet.y))
    filled = rng.uniform() < 0.4
    inks = pick(rng, ((Ink.MAIN, Ink.MAIN), (Ink.MAIN, Ink.SECOND), (Ink.SECOND, Ink.SPARK)))
    for row in range(rows):
        base = 0.5 - side * 0.42 + row * pitch
        depth = sheet.y - (base - heights[row][None, :])
        slope = np.hypot(1, np.gradient(heights[row]) * sheet.size)[None, :]
        depth = (depth / slope).astype(np.float32)
        behind = sheet.cover(depth) * inside
        share = np.full_like(behind, row / rows)
        if filled:
            sheet.grade((Ink.THIRD, Ink.DEEP), share, behind)
        else:
            sheet.lay(Ink.GROUND, behind)
        sheet.grade(inks, share, sheet.cover(thick / 2 - np.abs(depth)) * inside)


def _ranges(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Mountain ranges with mist between them."""
    rows = 3 + round(lerp(5, 11, direction.scale) * direction.count)
    top = lerp(0.62, 0.14, direction.scale)
    pitch = (0.95 - top) / rows
    near, far = (Ink.DEEP, Ink.THIRD) if rng.uniform() < 0.6 else (Ink.MAIN, Ink.SECOND)
    if rng.uniform() < 0.6:
        size = lerp(0.08, 0.16, direction.scale)
        sun_x, sun_y = rng.uniform(0.2, 0.8), max(top - size * rng.uniform(-0.3, 0.9), size)
        sheet.lay(Ink.SPARK, sheet.disc(sun_x, sun_y, size))
    swing = lerp(0.10, 0.22, direction.scale)
    for row in range(rows):
        line = profile(rng, sheet.size, lerp(5, 2.5, direction.scale))
        line = line + 0.4 * profile(rng, sheet.size, 11)
        if direction.jag > 0.4:
            line = line + 0.6 * (direction.jag - 0.4) * np.abs(profile(rng, sheet.size, 40))
            line = np.abs(line) * 1.3 - 0.3
        crest = top + row * pitch - swing * line[None, :] * 0.6
        mask = sheet.cover(sheet.y - crest)
        mist = smooth((sheet.y - top - row * pitch) / (pitch * 2.0))
        mist = mist * lerp(0.45, 0.22, direction.scale)
        share = row / (rows - 1)
        sheet.grade((far, near), np.full_like(mask, share), mask)
        sheet.lay(Ink.GROUND, mask * mist * (1 - share))


def _crown(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Ridges around a circle, the outer behind the inner."""
    reach = lerp(0.28, 0.66, direction.scale)
    x, y = (0.5, 0.5) if reach > 0.35 or rng.uniform() < 0.5 else (0.5, pick(rng, (0.38, 0.62)))
    rows = 4 + round(4 * direction.count)
    pitch = reach * 0.78 / rows
    radius, angle = sheet.polar(x, y)
    column = ((angle + math.pi) / math.tau * (sheet.size - 1)).astype(np.int32)
    inks = pick(rng, ((Ink.MAIN, Ink.SECOND), (Ink.SECOND, Ink.MAIN), (Ink.THIRD, Ink.MAIN)))
    filled = rng.uniform() < 0.5
    for row in range(rows):
        wave = np.zeros(sheet.size)
        turns = np.linspace(0, math.tau, sheet.size)
        for lobes in rng.integers(2, 5 + round(9 * direction.jag), 4):
            wave += 0.28 * np.sin(int(lobes) * turns + rng.uniform(0, math.tau))
        edge = reach * (1 - row / (rows + 1.2)) + pitch * 0.7 * wave.astype(np.float32)[column]
        depth = edge - radius
        share = np.full_like(radius, row / rows)
        if filled:
            sheet.grade(inks, share, sheet.cover(depth))
            sheet.lay(Ink.DEEP, sheet.cover(pitch * 0.10 - np.abs(depth)))
        else:
            sheet.lay(Ink.GROUND, sheet.cover(depth))
            sheet.grade(inks, share, sheet.cover(pitch * 0.2 - np.abs(depth)))
    sheet.lay(Ink.SPARK, sheet.disc(x, y, reach * 0.14))
