"""Cut paper: overlapping sheets with shadows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.painter.composition import draw_one, spaced, stage
from covergen.poster.painter.ink_sheet import Ink, blur, lerp, pick

if TYPE_CHECKING:
    from covergen.core.color import Floats
    from covergen.poster.painter.direction import Direction
    from covergen.poster.painter.ink_sheet import Sheet


_SHEETS = (Ink.THIRD, Ink.MAIN, Ink.SECOND, Ink.DEEP)


def compose(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Draw a random composition."""
    draw_one(sheet, direction, rng, (_waves, _tunnel, _shards, _pebbles))


def _outline(angle: Floats, rng: np.random.Generator, jag: float) -> Floats:
    """Return the radius, about 1, of a closed wavy line; `jag` adds teeth."""
    line = np.ones_like(angle)
    for lobes, height in ((2, 0.10), (3, 0.09), (5, 0.05)):
        line += height * np.sin(lobes * angle + rng.uniform(0, math.tau))
    if jag > 0.5:
        teeth = 9 + int(rng.integers(8))
        saw = np.abs((angle * teeth / math.tau) % 1 - 0.5) * 2
        line += 0.28 * (jag - 0.5) * (saw - 0.5)
    return line


def _waves(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Layers in front of each other, each with a wavy upper edge."""
    turn = math.radians(pick(rng, (0, 0, 0, -25, 25, 90)))
    across, down = sheet.turned(turn)
    layers = 2 + round(5 * direction.count)
    top = lerp(0.22, -0.34, direction.scale)
    pitch = (0.56 - top) / (layers + 0.3)
    swing = pitch * lerp(0.35, 0.8, direction.scale)
    if turn == 0 and rng.uniform() < 0.7:
        size = lerp(0.09, 0.17, direction.scale)
        sun = sheet.disc(rng.uniform(0.25, 0.75), 0.5 + top - size * rng.uniform(-0.4, 1.2), size)
        sheet.lay(Ink.SPARK, sun)
    order = [Ink.THIRD, Ink.MAIN, Ink.SECOND, Ink.DEEP, Ink.MAIN]
    if rng.uniform() < 0.5:
        order = [Ink.SECOND, Ink.MAIN, Ink.THIRD, Ink.DEEP, Ink.THIRD]
    for layer in range(layers):
        beat = rng.uniform(3, 7)
        edge = swing * np.sin(across * beat + rng.uniform(0, math.tau))
        edge += swing * 0.4 * np.sin(across * beat * 2.3 + rng.uniform(0, math.tau))
        if direction.jag > 0.5:
            teeth = np.abs((across * beat * 1.7 + rng.uniform(0, 1)) % 1 - 0.5)
            edge = edge * 0.5 + swing * (direction.jag * 2.6) * (teeth - 0.25)
        mask = sheet.cover(down - (top + layer * pitch) + edge)
        sheet.drop_shadow(mask, 0.22)
        sheet.lay(order[layer % len(order)], mask)


def _tunnel(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Nested holes."""
    x, y, reach = stage(sheet, direction, rng, small=0.18, large=0.72)
    layers = 3 + round(4 * direction.count)
    inks = [Ink.THIRD, Ink.MAIN, Ink.SECOND, Ink.DEEP, Ink.MAIN]
    if rng.uniform() < 0.5:
        inks = [Ink.SECOND, Ink.MAIN, Ink.THIRD, Ink.DEEP, Ink.THIRD]
    for layer in range(layers):
        radius, angle = sheet.polar(
            x + 0.05 * reach * rng.normal(), y + 0.05 * reach * rng.normal()
        )
        size = reach * (1 - layer / (layers + 0.6))
        hole = sheet.cover(size * _outline(angle, rng, direction.jag) - radius)
        rim = np.roll(1 - hole, (round(0.016 * sheet.size),) * 2, axis=(0, 1))
        sheet.lay(inks[layer % len(inks)], hole)
        sheet.shade(1 - 0.20 * hole * blur(rim, 0.014))
    sheet.lay(Ink.SPARK, sheet.disc(x, y, size * 0.42))


def _shards(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Voronoi cells, pulled slightly apart."""
    x, y, reach = stage(sheet, direction, rng, small=0.17, large=0.85)
    number = 8 + round(22 * direction.count)
    seeds = spaced(rng, number) * reach * 1.1 + np.array([x, y])
    least = np.full((sheet.size, sheet.size), np.inf, np.float32)
    second, nearest = least.copy(), np.zeros(least.shape, np.intp)
    for index, (seed_x, seed_y) in enumerate(seeds.tolist()):
        distance = np.hypot(sheet.x - seed_x, sheet.y - seed_y)
        nearest[distance < least] = index
        np.minimum(second, np.maximum(least, distance), out=second)
        np.minimum(least, distance, out=least)
    gap = reach * 0.022
    # The distance to the border is about half the difference of the two smallest distances.
    piece = sheet.cover((second - least) / 2 - gap)
    region = sheet.cover(reach - np.hypot(sheet.x - x, sheet.y - y))
    if direction.jag > 0.5:
        across, down = sheet.turned(rng.uniform(0, math.tau), x, y)
        region = sheet.cover(reach * 0.92 - np.maximum(np.abs(across), np.abs(down)))
    inks = rng.choice(
        [Ink.MAIN, Ink.SECOND, Ink.THIRD, Ink.DEEP, Ink.SPARK],
        number,
        p=[0.32, 0.25, 0.23, 0.12, 0.08],
    )
    total = (piece * region).astype(np.float32)
    sheet.drop_shadow(total, 0.15)
    tilt = rng.uniform(-1, 1, (number, 2)).astype(np.float32)
    slope = (sheet.x - x) * tilt[nearest, 0] + (sheet.y - y) * tilt[nearest, 1]
    for ink in set(inks.tolist()):
        sheet.lay(Ink(ink), total * (inks == ink)[nearest])
    sheet.shade(1 + 0.22 * np.clip(slope, -0.6, 0.6) * total)


def _pebbles(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Scattered, well-spaced rounded forms, some with a hole."""
    x, y, reach = stage(sheet, direction, rng, small=0.18, large=0.72)
    number = 3 + round(6 * direction.count)
    for index, (px, py) in enumerate(spaced(rng, number) * reach * 0.72):
        cx, cy = x + float(px), y + float(py)
        radius, angle = sheet.polar(cx, cy)
        size = reach * lerp(0.5, 0.34, direction.count) * rng.uniform(0.75, 1.15)
        line = np.ones_like(angle)
        for lobes, height in ((2, 0.20), (3, 0.16), (4, 0.05)):
            line += height * np.sin(lobes * angle + rng.uniform(0, math.tau))
        if direction.jag > 0.5:  # a polygon instead of a pebble
            side = math.tau / int(rng.integers(4, 7))
            within = (angle + rng.uniform(0, math.tau)) % side - side / 2
            line = (0.6 + 0.4 * line) * math.cos(side / 2) / np.cos(within) * 1.1
        form = sheet.cover(size * line - radius)
        if rng.uniform() < 0.35:
            form = form * (1 - sheet.disc(cx, cy, size * 0.3))
        sheet.drop_shadow(form, 0.22)
        sheet.lay(Ink.SPARK if index == number - 1 else _SHEETS[index % 3], form)
