"""Gradients: colors that blend in orbs, capsules and fluted glass."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.painter.composition import draw_one, stage
from covergen.poster.painter.ink_sheet import Ink, cloud, lerp, pick, smooth

if TYPE_CHECKING:
    from covergen.poster.painter.direction import Direction
    from covergen.poster.painter.ink_sheet import Sheet


_RAMPS = (
    (Ink.DEEP, Ink.MAIN, Ink.SECOND),
    (Ink.THIRD, Ink.MAIN, Ink.SECOND),
    (Ink.DEEP, Ink.THIRD, Ink.MAIN, Ink.SECOND),
    (Ink.MAIN, Ink.SECOND, Ink.GROUND),
    (Ink.THIRD, Ink.MAIN, Ink.GROUND),
)


def compose(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Draw a random composition."""
    draw_one(sheet, direction, rng, (_orb, _capsules, _fluted, _petals, _phases))


def _orb(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """A sphere of blending colors with a glow around it."""
    x, y, reach = stage(sheet, direction, rng, small=0.15, large=0.50)
    across, down = sheet.turned(rng.uniform(0, math.tau), x, y)
    radius = np.hypot(across, down)
    warp = cloud(rng, sheet.size, 2.5) * 0.22
    sheet.lay(Ink.THIRD, 0.5 * smooth(1 - radius / (reach * 1.9)) ** 2)
    sheet.grade(pick(rng, _RAMPS), 0.5 + across / reach / 1.9 + warp, sheet.disc(x, y, reach))
    rings = round(2.4 * direction.count)
    for ring in range(rings):  # orbiting moons
        angle = rng.uniform(0, math.tau)
        orbit = reach * (1.25 + 0.22 * ring)
        moon_x, moon_y = x + orbit * math.cos(angle), y + orbit * math.sin(angle)
        if max(abs(moon_x - 0.5), abs(moon_y - 0.5)) < 0.42:
            ink = pick(rng, (Ink.SPARK, Ink.MAIN, Ink.SECOND))
            sheet.lay(ink, sheet.disc(moon_x, moon_y, reach * 0.13))


def _capsules(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """A row of upright or slanted capsules, each with its own gradient."""
    x, y, reach = stage(sheet, direction, rng, small=0.20, large=0.80)
    across, down = sheet.turned(math.radians(pick(rng, (0, 0, 90, 45, -30))), x, y)
    number = 3 + round(5 * direction.count)
    pitch = 2 * reach / number
    half_width = pitch * rng.uniform(0.40, 0.5)
    ramp = pick(rng, _RAMPS)
    step = pick(rng, (0.0, 0.12, -0.12, 0.2))
    for index in range(number):
        place = index - (number - 1) / 2
        half = reach * (rng.uniform(0.6, 0.95) if direction.order < 0.5 else 0.85)
        along = down - step * place * pitch * 2
        shaft = max(half - half_width, 0.0)
        distance = np.hypot(across - place * pitch, np.maximum(np.abs(along) - shaft, 0))
        position = along / half / 2 + 0.5
        flip = index % 2 == 1
        sheet.grade(ramp, 1 - position if flip else position, sheet.cover(half_width - distance))


def _fluted(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Soft color seen through fluted glass, in a window."""
    x, y, reach = stage(sheet, direction, rng, small=0.18, large=0.75)
    across, down = sheet.turned(math.radians(pick(rng, (0, 90, 45, -45))), x, y)
    flute = reach / lerp(2.5, 8, direction.count)
    within = across / flute - np.floor(across / flute)
    bent = across + (within - 0.5) * flute * 2.2
    wave = 0.35 * np.sin(bent / reach * rng.uniform(1.5, 3) + rng.uniform(0, 6))
    position = 0.5 + (down + wave * reach) / reach / 1.8
    window = (
        sheet.disc(x, y, reach)
        if rng.uniform() < 0.5
        else sheet.cover(reach * 0.9 - np.maximum(np.abs(across), np.abs(down)))
    )
    sheet.grade(pick(rng, _RAMPS), position + 0.22 * (within - 0.5), window)
    sheet.shade(1 - 0.16 * window * (1 - within) ** 2)


def _petals(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Discs around a center, each fading over the one below."""
    x, y, reach = stage(sheet, direction, rng, small=0.20, large=0.80)
    number = 4 + round(6 * direction.count)
    start = rng.uniform(0, math.tau)
    size = reach * 0.52
    inks = [Ink(k) for k in rng.permutation([Ink.MAIN, Ink.SECOND, Ink.THIRD])]
    for index in range(number):
        angle = start + math.tau * index / number
        cx, cy = x + reach * 0.46 * math.cos(angle), y + reach * 0.46 * math.sin(angle)
        along = (sheet.x - cx) * -math.sin(angle) + (sheet.y - cy) * math.cos(angle)
        fade = smooth(0.5 + along / size / 2)
        sheet.lay(inks[index % len(inks)], sheet.disc(cx, cy, size) * (0.08 + 0.92 * fade))
    sheet.lay(Ink.SPARK, sheet.disc(x, y, reach * 0.10))


def _phases(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """A grid of spheres, the direction of the light turning step by step."""
    x, y, reach = stage(sheet, direction, rng, small=0.2, large=0.62)
    columns = 2 + round(3.4 * direction.count)
    pitch = 2 * reach / columns
    ramp = pick(rng, _RAMPS)
    start, step = rng.uniform(0, math.tau), pick(rng, (0.0, 0.25, 0.5)) * math.pi
    for index in range(columns * columns):
        row, column = divmod(index, columns)
        cx = x + (column - (columns - 1) / 2) * pitch
        cy = y + (row - (columns - 1) / 2) * pitch
        if max(abs(cx - 0.5), abs(cy - 0.5)) > 0.5 + pitch / 2:
            continue
        turn = start + step * (row + column)
        along = (sheet.x - cx) * math.cos(turn) + (sheet.y - cy) * math.sin(turn)
        sheet.grade(ramp, 0.5 + along / pitch / 0.86, sheet.disc(cx, cy, pitch * 0.43))
