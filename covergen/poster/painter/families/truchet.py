"""Truchet tilings: copies of one tile, randomly rotated, form continuous paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.painter.composition import draw_one, stage
from covergen.poster.painter.ink_sheet import Ink, pick

if TYPE_CHECKING:
    from covergen.core.color import Floats
    from covergen.poster.painter.direction import Direction
    from covergen.poster.painter.ink_sheet import Sheet


def compose(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Draw a random composition."""
    draw_one(sheet, direction, rng, (_pipes, _weave, _triangles))


class _Tiles:
    """A square grid of tiles, and each pixel's position within its tile."""

    def __init__(self, sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
        self.columns = 2 + round(3 * direction.count)
        x, y, reach = stage(sheet, direction, rng, small=0.18, large=0.5)
        if direction.scale > 0.62:  # fill the frame rather than leave a sliver of margin
            x, y, reach = 0.5, 0.5, 0.5
        self.cell = 2 * reach / self.columns
        half = self.cell * self.columns / 2
        across, down = sheet.x - x + half, sheet.y - y + half
        self.column = np.floor(across / self.cell).astype(np.int32)
        self.row = np.floor(down / self.cell).astype(np.int32)
        inside = np.minimum(half - np.abs(sheet.x - x), half - np.abs(sheet.y - y))
        self.inside = sheet.cover(inside)
        self.across, self.down = across - self.column * self.cell, down - self.row * self.cell

    def per_tile(self, values: Floats) -> Floats:
        """Expand one value per tile, (columns, columns), to pixels."""
        last = self.columns - 1
        return values[np.clip(self.row, 0, last), np.clip(self.column, 0, last)]


def _turns(tiles: _Tiles, direction: Direction, rng: np.random.Generator) -> Floats:
    """Return 0 or 1 for each tile: random, or a pattern where the pulse is regular."""
    shape = (tiles.columns, tiles.columns)
    turns = rng.integers(0, 2, shape)
    if direction.order > 0.65:
        rows, columns = np.indices(shape)
        turns = pick(rng, ((rows + columns) % 2, (rows // 2 + columns) % 2, columns % 2))
    return turns.astype(np.float32)


def _corner_distances(tiles: _Tiles, turn: Floats) -> tuple[Floats, Floats]:
    """Return the distances to the two opposite corners that are the centers of a tile's arcs."""
    across = np.where(turn > 0.5, tiles.cell - tiles.across, tiles.across)
    first = np.hypot(across, tiles.down)
    second = np.hypot(tiles.cell - across, tiles.cell - tiles.down)
    return first, second


def _pipes(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Broad bands along quarter circles, with a thin line inside."""
    tiles = _Tiles(sheet, direction, rng)
    turn = tiles.per_tile(_turns(tiles, direction, rng))
    first, second = _corner_distances(tiles, turn)
    off = np.abs(np.minimum(first, second) - tiles.cell / 2)
    if rng.uniform() < 0.6:
        sheet.lay(pick(rng, (Ink.THIRD, Ink.DEEP)), tiles.inside)
    broad = tiles.cell * rng.uniform(0.17, 0.24)
    sheet.lay(Ink.MAIN, sheet.cover(broad - off) * tiles.inside)
    if rng.uniform() < 0.7:
        sheet.lay(Ink.SECOND, sheet.cover(broad * 0.36 - off) * tiles.inside)


def _weave(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Two or three parallel bands around either corner, one crossing over the other."""
    tiles = _Tiles(sheet, direction, rng)
    turn = tiles.per_tile(_turns(tiles, direction, rng))
    distances = _corner_distances(tiles, turn)
    inks = (Ink.MAIN, Ink.SECOND if direction.order > 0.65 else Ink.MAIN)
    bands = pick(rng, (2, 3))
    pitch = tiles.cell / bands
    sheet.lay(pick(rng, (Ink.DEEP, Ink.THIRD, Ink.GROUND)), tiles.inside)
    for distance, ink in zip(distances, inks, strict=True):
        within = sheet.cover(tiles.cell - distance) * tiles.inside
        sheet.lay(Ink.GROUND, within)
        saw = np.abs(distance / pitch % 1 - 0.5)
        sheet.lay(ink, sheet.cover((0.29 - saw) * pitch) * within)
    chosen = (rng.uniform(size=(tiles.columns, tiles.columns)) < 0.12).astype(np.float32)
    core = sheet.cover(pitch * 0.5 - distances[1])
    sheet.lay(Ink.SPARK, core * tiles.per_tile(chosen) * tiles.inside)


def _triangles(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Squares halved along a diagonal, as Truchet drew them in 1704."""
    tiles = _Tiles(sheet, direction, rng)
    shape = (tiles.columns, tiles.columns)
    turn = tiles.per_tile(_turns(tiles, direction, rng))
    across = np.where(turn > 0.5, tiles.cell - tiles.across, tiles.across)
    upper = sheet.cover((across - tiles.down) * 0.7071)
    pairs = rng.permutation([Ink.MAIN, Ink.SECOND, Ink.THIRD])
    share = rng.uniform(size=shape)
    groups = np.digitize(share, [0.5, 0.85, 0.93])
    for group, ink in enumerate([*pairs, Ink.SPARK]):
        chosen = tiles.per_tile((groups == group).astype(np.float32))
        sheet.lay(Ink(ink), chosen * upper * tiles.inside)
    if rng.uniform() < 0.5:
        sheet.lay(Ink.DEEP, (1 - upper) * tiles.inside)
