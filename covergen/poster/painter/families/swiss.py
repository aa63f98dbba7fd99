"""Swiss and Bauhaus geometry: arcs, modules, bars and overlapping simple forms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.painter.composition import draw_one, stage
from covergen.poster.painter.ink_sheet import Ink, Plate, lerp, pick

if TYPE_CHECKING:
    from covergen.poster.painter.direction import Direction
    from covergen.poster.painter.ink_sheet import Sheet


_FIGURES = (Ink.MAIN, Ink.SECOND, Ink.THIRD, Ink.DEEP)


def compose(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Draw a random composition."""
    draw_one(sheet, direction, rng, (_arcs, _modules, _bars, _forms))


def _arcs(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Concentric arcs whose radii grow geometrically, as on a concert poster."""
    x, y, reach = stage(sheet, direction, rng, small=0.22, large=0.85)
    radius, angle = sheet.polar(x, y)
    growth = rng.uniform(1.35, 1.65)
    inks = rng.permutation(_FIGURES[:3])
    for ring in range(3 + round(3 * direction.count)):
        outer = reach / growth**ring
        middle, half = outer * (1 + 1 / growth) / 2, outer * (1 - 1 / growth) * 0.40
        band = sheet.cover(half - np.abs(radius - middle))
        half_sweep = math.pi * pick(rng, (0.25, 0.375, 0.5, 0.625, 0.75))
        turn = np.abs((angle - pick(rng, range(8)) * math.pi / 4 + math.pi) % math.tau - math.pi)
        sector = sheet.cover((half_sweep - turn) * radius)
        sheet.lay(Ink(inks[ring % 3]), band * sector)
        core = middle - half
    sheet.lay(Ink.SPARK, sheet.disc(x, y, core * 0.62))


def _modules(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """A grid of tiles with simple forms; calm music gives a smaller grid with empty corners."""
    columns = 2 + round(3 * direction.count)
    side = 1.0 if direction.scale > 0.66 else lerp(0.56, 0.84, direction.scale / 0.66)
    left, top = (pick(rng, (0.5, 0.5, 0.2, 0.8)) * (1 - side) for _ in range(2))
    stairs = pick(rng, (0, 1, 2)) if direction.scale < 0.4 else 0
    cell = side / columns
    kinds = [int(k) for k in rng.permutation(6)[: 2 if direction.order > 0.6 else 4]]
    plate = Plate(sheet.size)
    for row in range(columns):
        for column in range(columns):
            if row + column < stairs:
                continue
            ground, figure = rng.permutation([Ink.GROUND, *_FIGURES])[:2]
            if rng.uniform() < 0.10:
                figure = Ink.SPARK
            _tile(
                plate,
                pick(rng, kinds),
                (left + column * cell, top + row * cell, cell),
                int((row + column) % 2 * 2 if direction.order > 0.6 else rng.integers(4)),
                (Ink(ground), Ink(figure)),
            )
    sheet.press(plate)


def _tile(
    plate: Plate, kind: int, box: tuple[float, float, float], turn: int, inks: tuple[Ink, Ink]
) -> None:
    x, y, side = box
    ground, figure = inks
    corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
    corners = corners[turn:] + corners[:turn]
    middle = (x + side / 2, y + side / 2)
    plate.polygon(ground, corners)
    if kind == 0:  # a quarter of a disc
        plate.pie(figure, *corners[0], side, 90 * turn, 90 * turn + 90)
    elif kind == 1:  # half a disc
        edge = ((corners[0][0] + corners[1][0]) / 2, (corners[0][1] + corners[1][1]) / 2)
        plate.pie(figure, *edge, side / 2, 90 * turn, 90 * turn + 180)
    elif kind == 2:  # a disc
        plate.disc(figure, *middle, side * 0.36)
    elif kind == 3:  # a triangle
        plate.polygon(figure, corners[:3])
    elif kind == 4:  # a rainbow
        for part, ink in ((1.0, figure), (2 / 3, ground), (1 / 3, figure)):
            plate.pie(ink, *corners[0], side * part, 90 * turn, 90 * turn + 90)
    else:  # two bars
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners
        for low, high in ((0.0, 0.25), (0.5, 0.75)):
            plate.polygon(
                figure,
                [
                    (lerp(ax, dx, low), lerp(ay, dy, low)),
                    (lerp(bx, cx, low), lerp(by, cy, low)),
                    (lerp(bx, cx, high), lerp(by, cy, high)),
                    (lerp(ax, dx, high), lerp(ay, dy, high)),
                ],
            )


def _bars(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Staggered parallel bars and one disc."""
    x, y, reach = stage(sheet, direction, rng, small=0.20, large=0.80)
    across, down = sheet.turned(math.radians(pick(rng, (0, 90, 30, -30, 45, -45, -60))), x, y)
    bars = 3 + round(6 * direction.count)
    pitch = 2 * reach / bars
    thick = pitch * rng.uniform(0.55, 0.9)
    step = pick(rng, (-1, 1)) * reach * rng.uniform(0.15, 0.35)
    inks = [Ink(k) for k in rng.permutation(_FIGURES[:3])]
    for bar in range(bars):
        middle = (bar + 0.5) * pitch - reach
        shift = step * (bar - bars / 2) / bars * 2 + rng.uniform(-0.15, 0.15) * reach
        half = reach * rng.uniform(0.55, 0.85)
        inside = np.minimum(thick / 2 - np.abs(down - middle), half - np.abs(across - shift))
        sheet.lay(inks[bar % len(inks)], sheet.cover(inside))
    angle = rng.uniform(0, math.tau)
    sheet.lay(
        pick(rng, (Ink.SPARK, Ink.SPARK, Ink.DEEP)),
        sheet.disc(
            x + math.cos(angle) * reach * 0.6, y + math.sin(angle) * reach * 0.6, reach * 0.30
        ),
    )


def _forms(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Two large simple forms that overlap in a third ink, sometimes with lines below."""
    x, y, reach = stage(sheet, direction, rng, small=0.17, large=0.60)
    angle = math.radians(pick(rng, (0, 45, 90, 135)))
    across, down = sheet.turned(angle, x, y)
    shift = reach * rng.uniform(0.45, 0.75)
    first = sheet.cover(reach * 0.85 - np.hypot(across + shift, down))
    second = sheet.cover(reach * 0.85 - np.hypot(across - shift, down))
    kind = pick(rng, ("discs", "half", "square"))
    if kind == "half":
        second = second * sheet.cover(down)
    elif kind == "square":
        square = np.maximum(np.abs(across - shift), np.abs(down))
        second = sheet.cover(reach * 0.72 - square)
    sheet.lay(Ink.MAIN, first)
    sheet.lay(Ink.SECOND, second)
    sheet.lay(pick(rng, (Ink.DEEP, Ink.THIRD)), first * second)
    if rng.uniform() < 0.3 + 0.5 * direction.count:
        lines = 2 + round(3 * direction.count)
        pitch = reach * 0.16
        side = 1 if (0.5 - x) * -math.sin(angle) + (0.5 - y) * math.cos(angle) > 0 else -1
        for line in range(lines):
            offset = down * side - reach * 0.95 - line * pitch
            bar = np.minimum(pitch * 0.28 - np.abs(offset), reach * 1.5 - np.abs(across))
            sheet.lay(Ink.SPARK if line == 0 else Ink.THIRD, sheet.cover(bar))
