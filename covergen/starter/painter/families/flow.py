"""Flow fields: ribbons that follow one current and lie over each other like paper strips."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from covergen.starter.painter.composition import stage
from covergen.starter.painter.sheet import Ink, Plate, cloud, lerp, pick

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.starter.painter.direction import Direction
    from covergen.starter.painter.sheet import Sheet

__all__ = ["compose"]

_STEPS = 28


def compose(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Draw one of the compositions."""
    x, y, reach = stage(direction, rng, small=0.21, large=0.85)
    width = reach * lerp(0.30, 0.14, direction.count)
    number = 9 + round(36 * direction.count)
    field = pick(rng, (_current, _whirl, _comb))(x, y, reach, rng)
    spread = np.sqrt(rng.uniform(0, 1, number)) * reach * 0.9
    around = rng.uniform(0, math.tau, number)
    starts = np.stack([x + spread * np.cos(around), y + spread * np.sin(around)], axis=1)
    paths = _follow(starts, field, reach * rng.uniform(0.5, 0.9) / _STEPS)
    _draw(sheet, paths, width, direction, rng)


def _grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    line = np.linspace(-0.5, 1.5, 64)
    return line[None, :], line[:, None]


def _current(x: float, y: float, reach: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A slow meander."""
    del x, y, reach
    return rng.uniform(0, math.tau) + 1.5 * cloud(rng, 64, 2.6)


def _whirl(x: float, y: float, reach: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Round a centre, a little inwards or outwards."""
    px, py = _grid()
    eye_x, eye_y = x + reach * rng.uniform(-0.4, 0.4), y + reach * rng.uniform(-0.4, 0.4)
    around = np.arctan2(py - eye_y, px - eye_x) + math.pi / 2 + rng.uniform(-0.5, 0.5)
    return (around + 0.25 * cloud(rng, 64, 3)).astype(np.float32)


def _comb(x: float, y: float, reach: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Straight, with one wave across it."""
    px, py = _grid()
    turn = rng.uniform(0, math.tau)
    across = (px - x) * math.sin(turn) - (py - y) * math.cos(turn)
    along = (px - x) * math.cos(turn) + (py - y) * math.sin(turn)
    return (turn + 0.9 * np.sin(along / reach * 2.4) + 0.5 * across / reach).astype(np.float32)


def _follow(starts: NDArray[np.float64], field: NDArray[np.float32], step: float) -> NDArray[np.float64]:
    """The paths from all starts at once: (N, steps, 2)."""
    points = starts.copy()
    paths = []
    for _ in range(_STEPS):
        paths.append(points)
        cell = np.clip(((points + 0.5) / 2 * 63).round().astype(int), 0, 63)
        angle = field[cell[:, 1], cell[:, 0]]
        points = points + step * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.stack(paths, axis=1)


def _draw(
    sheet: Sheet,
    paths: NDArray[np.float64],
    width: float,
    direction: Direction,
    rng: np.random.Generator,
) -> None:
    plate = Plate(sheet.size)
    share = np.array([0.42, 0.28, 0.20, 0.10])
    inks = rng.choice([Ink.MAIN, Ink.SECOND, Ink.THIRD, Ink.SPARK], len(paths), p=share)
    taper = rng.uniform() < 0.4
    stride = 5 if direction.jag > 0.62 else 1  # rough music breaks the curves
    for path, ink in zip(paths, inks, strict=True):
        kept = path[: int(rng.integers(_STEPS // 2, _STEPS + 1)) : stride]
        along = np.linspace(0, 1, len(kept))
        profile = 0.25 + 0.75 * np.sin(math.pi * along) if taper else np.ones(len(kept))
        thick = width * rng.uniform(0.75, 1.2) * profile
        plate.ribbon(Ink.GROUND, kept, thick + width * 0.35)
        plate.ribbon(Ink(ink), kept, thick)
    sheet.press(plate)
