"""Minimal landscapes: a sun or moon, a horizon, water, dunes, fields of color."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.painter.composition import draw_one
from covergen.poster.painter.ink_sheet import Ink, cloud, lerp, pick, profile, smooth

if TYPE_CHECKING:
    from covergen.poster.painter.direction import Direction
    from covergen.poster.painter.ink_sheet import Sheet


def compose(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Draw a random composition."""
    draw_one(sheet, direction, rng, (_water, _dunes, _striped_sun, _fields, _bands))


def _sky(sheet: Sheet, horizon: float, direction: Direction, rng: np.random.Generator) -> None:
    depth = lerp(0.15, 0.8, direction.scale)
    glow = pick(rng, (Ink.SECOND, Ink.THIRD, Ink.MAIN))
    sheet.grade((Ink.GROUND, glow), depth * smooth(sheet.y / horizon) ** 2)


def _water(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """A sun over water, reflected in strips."""
    horizon = rng.uniform(0.52, 0.68)
    size = lerp(0.13, 0.36, direction.scale)
    x = pick(rng, (0.5, 0.5, 0.36, 0.64))
    rise = size * rng.uniform(-0.3, 0.9)
    _sky(sheet, horizon, direction, rng)
    sheet.lay(Ink.SPARK, sheet.disc(x, horizon - rise, size))
    below = sheet.cover(sheet.y - horizon)
    depth = (sheet.y - horizon) / (1 - horizon)
    sheet.grade((Ink.THIRD, Ink.DEEP), depth, lerp(0.35, 1.0, direction.scale) * below)
    strips = 3 + round(10 * direction.count)
    pitch = (1 - horizon) * lerp(0.5, 0.95, direction.scale) / strips
    for strip in range(strips):
        middle = horizon + (strip + 0.6) * pitch
        half = size * rng.uniform(0.55, 1.0) * (1 - 0.6 * strip / strips)
        shift = size * rng.uniform(-0.25, 0.25)
        thick = pitch * lerp(0.32, 0.2, strip / strips)
        distance = np.hypot(np.maximum(np.abs(sheet.x - x - shift) - half, 0), sheet.y - middle)
        sheet.lay(Ink.SPARK, sheet.cover(thick - distance))


def _dunes(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Dunes lit from one side, under a sun."""
    horizon = lerp(0.74, 0.42, direction.scale)
    _sky(sheet, horizon, direction, rng)
    size = lerp(0.09, 0.19, direction.scale)
    sheet.lay(
        Ink.SPARK, sheet.disc(rng.uniform(0.22, 0.78), horizon - size * rng.uniform(0.6, 1.9), size)
    )
    rows = 2 + round(4 * direction.count)
    inks = [Ink.SECOND, Ink.MAIN, Ink.THIRD, Ink.DEEP, Ink.MAIN, Ink.DEEP]
    for row in range(rows):
        crest = horizon + (1 - horizon) * row / rows * 0.95
        beat, swing = rng.uniform(2.5, 5.5), lerp(0.03, 0.08, direction.scale)
        line = swing * np.sin(sheet.x * beat + rng.uniform(0, math.tau))
        teeth = 0.05 * max(direction.jag - 0.4, 0) * profile(rng, sheet.size, 22)
        depth = sheet.y - crest - line - teeth
        mask = sheet.cover(depth)
        sheet.lay(inks[row], mask)
        sheet.shade(1 + mask * (0.12 * np.exp(-np.maximum(depth, 0) / 0.06) - 0.05))


def _striped_sun(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """A large sun, cut into strips towards the bottom."""
    size = lerp(0.22, 0.40, direction.scale)
    x, y = pick(rng, (0.5, 0.5, 0.42, 0.58)), rng.uniform(0.44, 0.56)
    depth = (sheet.y - y + size) / (2 * size)
    strips = 3 + round(9 * direction.count)
    phase = depth * strips
    share = lerp(0.0, 0.62, 1.0) * np.clip((depth - 0.35) / 0.65, 0, 1)
    cut = (np.abs(phase % 1 - 0.5) - share / 2) / strips * 2 * size
    sun = sheet.disc(x, y, size) * np.where(depth > 0.35, sheet.cover(cut), 1)
    top, foot = pick(rng, ((Ink.SECOND, Ink.MAIN), (Ink.MAIN, Ink.THIRD), (Ink.MAIN, Ink.SECOND)))
    sheet.grade((top, foot), depth, sun)
    floor = y + size * lerp(1.35, 0.75, direction.scale)
    below = sheet.cover(sheet.y - floor)
    sheet.lay(pick(rng, (Ink.DEEP, Ink.THIRD)), below)


def _fields(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Two or three stacked blocks of color with soft, uneven edges."""
    half = lerp(0.28, 0.43, direction.scale)
    tall = lerp(0.31, 0.46, direction.scale)
    cuts = pick(rng, ((0.0, 0.62, 1.0), (0.0, 0.38, 1.0), (0.0, 0.25, 0.62, 1.0)))
    inks = [Ink(k) for k in rng.permutation([Ink.MAIN, Ink.SECOND, Ink.THIRD])]
    edge = lerp(0.012, 0.03, direction.jag) * cloud(rng, sheet.size, lerp(5, 16, direction.jag))
    for low, high, ink in zip(cuts[:-1], cuts[1:], inks, strict=False):
        top, foot = 0.5 - tall + 2 * tall * low, 0.5 - tall + 2 * tall * high - 0.02
        inside = np.minimum(
            half - np.abs(sheet.x - 0.5), (foot - top) / 2 - np.abs(sheet.y - (top + foot) / 2)
        )
        sheet.lay(ink, 0.94 * sheet.cover(inside + edge * 0.4, 0.012))
    sheet.shade(1 + 0.05 * cloud(rng, sheet.size, 3))


def _bands(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """A sun over bands that grow towards the viewer."""
    size = lerp(0.12, 0.30, direction.scale)
    horizon = lerp(0.74, 0.36, direction.scale)
    x = pick(rng, (0.5, 0.34, 0.66))
    _sky(sheet, horizon, direction, rng)
    sheet.lay(Ink.SPARK, sheet.disc(x, horizon - size * rng.uniform(0.0, 0.8), size))
    bands = 3 + round(9 * direction.count)
    growth = rng.uniform(1.2, 1.5)
    thick = (1.02 - horizon) * (growth - 1) / (growth**bands - 1)
    inks = [Ink(k) for k in rng.permutation([Ink.MAIN, Ink.SECOND, Ink.THIRD, Ink.DEEP])]
    top = horizon
    tilt = rng.uniform(-0.06, 0.06) if rng.uniform() < 0.5 else 0.0
    for band in range(bands):
        edge = tilt * (sheet.x - x) * (1 + band)
        sheet.lay(inks[band % len(inks)], sheet.cover(sheet.y - top - edge))
        top += thick * growth**band
