"""Record grooves: concentric rings, sliced, shifted and lit like a record."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.painter.composition import draw_one, stage
from covergen.poster.painter.ink_sheet import Ink, lerp, pick

if TYPE_CHECKING:
    from covergen.core.color import Floats
    from covergen.poster.painter.direction import Direction
    from covergen.poster.painter.ink_sheet import Sheet


def compose(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Draw a random composition."""
    draw_one(sheet, direction, rng, (_record, _sliced, _ripples, _arches))


def _rings(
    sheet: Sheet, radius: Floats, reach: float, number: int, rng: np.random.Generator
) -> None:
    """Draw rings from the outermost inwards; their widths vary at random."""
    edges = np.cumsum(rng.uniform(0.6, 1.5, number))
    edges = reach * (edges / edges[-1])[::-1]
    inks = [Ink(k) for k in rng.permutation([Ink.MAIN, Ink.SECOND, Ink.THIRD])]
    for ring, edge in enumerate(edges):
        ink = inks[ring // 2 % 3] if ring % 2 == 0 else pick(rng, (Ink.GROUND, Ink.DEEP))
        sheet.lay(ink, sheet.cover(float(edge) - radius))


def _record(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """A disc of rings with a label and two wedge-shaped highlights."""
    x, y, reach = stage(sheet, direction, rng, small=0.18, large=0.8)
    radius, angle = sheet.polar(x, y)
    _rings(sheet, radius, reach, 4 + round(6 * direction.count), rng)
    sheen = np.maximum(np.cos(angle - rng.uniform(0, math.tau)), -0.2) ** 2 - 0.35
    sheet.shade(1 + 0.16 * sheen * sheet.cover(reach - radius))
    sheet.lay(Ink.SPARK, sheet.disc(x, y, reach * 0.22))
    sheet.lay(Ink.GROUND, sheet.disc(x, y, reach * 0.035))


def _sliced(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Rings cut into shifted strips."""
    x, y, reach = stage(sheet, direction, rng, small=0.18, large=0.75)
    across, down = sheet.turned(math.radians(pick(rng, (0, 90, 45, -45))), x, y)
    strips = pick(rng, (2, 2, 3))
    strip = np.floor((down / reach + 1) / 2 * strips)
    shift = np.where(strip % 2 == 0, 1, -1) * reach * rng.uniform(0.12, 0.4)
    radius = np.hypot(across + shift, down).astype(np.float32)
    _rings(sheet, radius, reach, 4 + round(6 * direction.count), rng)


def _ripples(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Ripples around two sources, each filling its half of the picture."""
    x, y, reach = stage(sheet, direction, rng, small=0.18, large=0.8)
    turn = math.radians(pick(rng, (0, 45, 90, 135)))
    across, down = sheet.turned(turn, x, y)
    apart = reach * rng.uniform(0.3, 0.5)
    first = np.hypot(across - apart, down)
    second = np.hypot(across + apart, down)
    number = 4 + round(5 * direction.count)
    pitch = reach / number
    nearer = np.minimum(first, second)
    saw = np.abs((nearer / pitch) % 2 - 1) - 0.5
    outermost = (2 * max(round(number / 2), 1) + 1) * pitch  # in the middle of a gap
    band = sheet.cover(saw * pitch) * sheet.cover(outermost - nearer)
    left = sheet.cover(across)
    sheet.lay(Ink.MAIN, band * left)
    sheet.lay(Ink.SECOND, band * (1 - left))
    for sign, ink in ((-1, Ink.SPARK), (1, Ink.THIRD)):
        sheet.lay(ink, sheet.cover(pitch * 0.6 - np.hypot(across + sign * apart, down)))


def _arches(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """One or more sets of nested arches on a line."""
    number = pick(rng, (1, 2, 2, 3)) if direction.count > 0.35 else 1
    side = lerp(0.56, 1.0, direction.scale)
    half = side / number / 2
    floor = 0.5 + side * 0.46 if direction.scale < 0.7 else 1.1
    rings = 3 + round(4 * direction.count)
    inks = [Ink(k) for k in rng.permutation([Ink.MAIN, Ink.SECOND, Ink.THIRD])]
    for arch in range(number):
        x = 0.5 + (arch - (number - 1) / 2) * 2 * half
        spring = floor - max(side * 0.92 - half, half * 0.3) * rng.uniform(0.45, 1.0)
        radius = np.where(
            sheet.y < spring, np.hypot(sheet.x - x, sheet.y - spring), np.abs(sheet.x - x)
        ).astype(np.float32)
        above = sheet.cover(floor - sheet.y)
        for ring in range(rings):
            edge = half * 0.94 * (1 - ring / (rings + 0.4))
            ink = inks[(ring // 2 + arch) % 3] if ring % 2 == 0 else Ink.GROUND
            ink = Ink.SPARK if ring == rings - 1 else ink
            sheet.lay(ink, sheet.cover(edge - radius) * above)
