"""Flow fields: ribbons that follow one vector field and overlap like strips of paper."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.painter.composition import spaced, stage
from covergen.poster.painter.ink_sheet import Ink, Plate, cloud, lerp

if TYPE_CHECKING:
    from covergen.core.color import Floats
    from covergen.poster.painter.direction import Direction
    from covergen.poster.painter.ink_sheet import Sheet


_STEPS = 28
_SPAN, _CELLS = 2.2, 64


def compose(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Draw a random composition.

    The field and the paths use coordinates in which the figure is the unit disc.
    """
    x, y, reach = stage(sheet, direction, rng, small=0.21, large=0.85)
    number = 9 + round(30 * direction.count)
    field = sheet.choose(rng, (_current, _whirl, _comb))(rng)
    paths = _follow(spaced(rng, number), field, rng.uniform(0.8, 1.3) / _STEPS)
    width = reach * lerp(0.20, 0.11, direction.count)
    _draw(sheet, paths * reach + np.array([x, y]), width, direction, rng)


def _grid() -> tuple[Floats, Floats]:
    line = np.linspace(-_SPAN, _SPAN, _CELLS)
    return line[None, :], line[:, None]


def _current(rng: np.random.Generator) -> Floats:
    """Angles of a slow meander."""
    return rng.uniform(0, math.tau) + 1.5 * cloud(rng, _CELLS, 3)


def _whirl(rng: np.random.Generator) -> Floats:
    """Angles around a center, tilted slightly inwards or outwards."""
    x, y = _grid()
    around: Floats = np.arctan2(y - rng.uniform(-0.4, 0.4), x - rng.uniform(-0.4, 0.4))
    return around + (math.pi / 2 + rng.uniform(-0.5, 0.5)) + 0.25 * cloud(rng, _CELLS, 3)


def _comb(rng: np.random.Generator) -> Floats:
    """Angles of parallel lines with one wave across them."""
    x, y = _grid()
    turn = rng.uniform(0, math.tau)
    across = x * math.sin(turn) - y * math.cos(turn)
    along = x * math.cos(turn) + y * math.sin(turn)
    return turn + 0.9 * np.sin(2.4 * along) + 0.5 * across


def _follow(starts: Floats, field: Floats, step: float) -> Floats:
    """Trace the paths from all starts together: (N, steps, 2), centered as a whole."""
    points = starts
    paths = []
    for _ in range(_STEPS):
        paths.append(points)
        cell = np.rint((points / _SPAN + 1) / 2 * (_CELLS - 1)).astype(np.intp)
        cell = np.clip(cell, 0, _CELLS - 1)
        angle = field[cell[:, 1], cell[:, 0]]
        points = points + step * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    traced: Floats = np.stack(paths, axis=1)
    middle: Floats = (traced.min((0, 1)) + traced.max((0, 1))) / 2
    return traced - middle


def _draw(
    sheet: Sheet,
    paths: Floats,
    width: float,
    direction: Direction,
    rng: np.random.Generator,
) -> None:
    plate = Plate(sheet.size)
    share = np.array([0.42, 0.28, 0.20, 0.10])
    inks = rng.choice([Ink.MAIN, Ink.SECOND, Ink.THIRD, Ink.SPARK], len(paths), p=share)
    taper = rng.uniform() < 0.5
    stride = 5 if direction.jag > 0.62 else 1  # rough music breaks the curves
    for path, ink in zip(paths, inks, strict=True):
        kept = path[: int(rng.integers(_STEPS // 2, _STEPS + 1)) : stride]
        along = np.linspace(0, 1, len(kept))
        profile = 0.25 + 0.75 * np.sin(math.pi * along) if taper else np.ones(len(kept))
        thick = width * rng.uniform(0.75, 1.2) * profile
        plate.ribbon(Ink.GROUND, kept, thick + width * 0.2)
        plate.ribbon(Ink(ink), kept, thick)
    sheet.press(plate)
