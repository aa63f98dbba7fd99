"""Where the figure stands on the sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from covergen.starter.painter.sheet import pick

if TYPE_CHECKING:
    import numpy as np

    from covergen.starter.painter.direction import Direction

__all__ = ["stage"]

_ANCHORS = (0.5, 0.38, 0.62)


def stage(
    direction: Direction, rng: np.random.Generator, *, small: float, large: float
) -> tuple[float, float, float]:
    """The figure's centre and reach: from `small`, well within the frame, to `large`.

    A small figure keeps its distance from the frame; a large one may be cut by it.
    """
    reach = small * (large / small) ** direction.scale
    if rng.uniform() < 0.4:
        return 0.5, 0.5, reach
    play = max(0.5 - reach - 0.08, 0.05 if reach < 0.5 else 0.22)
    x, y = (0.5 + (pick(rng, _ANCHORS) - 0.5) / 0.12 * play * 0.8 for _ in range(2))
    return x, y, reach
