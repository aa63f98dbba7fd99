"""Place the figure on the sheet, and elements within the figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.painter.ink_sheet import pick

if TYPE_CHECKING:
    from covergen.core.color import Floats
    from covergen.poster.painter.direction import Direction
    from covergen.poster.painter.ink_sheet import Sheet

    Composition = Callable[[Sheet, Direction, np.random.Generator], None]


_ANCHORS = (0.5, 0.38, 0.62)
_SMALLEST = 1.5  # factor on a family's smallest size: a tiny figure in an empty field looks dull


def draw_one(
    sheet: Sheet, direction: Direction, rng: np.random.Generator, options: Sequence[Composition]
) -> None:
    """Draw the style's composition, or a random one."""
    sheet.choose(rng, options)(sheet, direction, rng)


def stage(
    sheet: Sheet, direction: Direction, rng: np.random.Generator, *, small: float, large: float
) -> tuple[float, float, float]:
    """Return the figure's center and radius: x, y, reach.

    The radius runs from about `small` to `large` with the direction's scale. A small figure keeps
    its distance from the frame; a large one may be cropped by it. The position is noted on the
    sheet for the caption.
    """
    small = min(_SMALLEST * small, 0.8 * large)
    reach = small * (large / small) ** direction.scale
    x = y = 0.5
    if rng.uniform() >= 0.4 and not sheet.style.centred:
        play = max(0.5 - reach - 0.08, 0.08 if reach < 0.5 else 0.22)
        x, y = (0.5 + (pick(rng, _ANCHORS) - 0.5) / 0.12 * play * 0.8 for _ in range(2))
    across = "" if abs(x - 0.5) < 0.03 else "left" if x < 0.5 else "right"
    down = "" if abs(y - 0.5) < 0.03 else "high" if y < 0.5 else "low"
    sheet.notes.append(f"{down} {across}".strip() or "centred")
    return x, y, reach


def spaced(rng: np.random.Generator, number: int) -> Floats:
    """Draw well-spaced points in the unit disc, (number, 2).

    Each is the farthest from the others of 16 candidates (Mitchell 1991).
    """
    points = np.empty((number, 2))
    for index in range(number):
        radius, angle = np.sqrt(rng.uniform(0, 1, 16)), rng.uniform(0, math.tau, 16)
        candidates = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        if index:
            gaps = np.linalg.norm(candidates[:, None] - points[None, :index], axis=2).min(1)
            points[index] = candidates[gaps.argmax()]
        else:
            points[0] = candidates[0]
    return points.astype(np.float32)
