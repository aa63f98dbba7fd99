"""Moiré and op art: gratings that beat against each other or bulge."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.painter.composition import draw_one, stage
from covergen.poster.painter.ink_sheet import Ink, lerp, pick, smooth

if TYPE_CHECKING:
    from covergen.core.color import Floats
    from covergen.poster.painter.direction import Direction
    from covergen.poster.painter.ink_sheet import Sheet


def compose(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Draw a random composition."""
    draw_one(sheet, direction, rng, (_two_discs, _waves, _bulge, _split))


def _pitch(reach: float, direction: Direction) -> float:
    return reach / lerp(2.0, 4.6, direction.count)


def _stripes(sheet: Sheet, phase: Floats, share: Floats | float = 0.5) -> Floats:
    """Return the mask of one band per period of `phase`, antialiased by its local gradient."""
    steep = np.hypot(*np.gradient(phase)) * sheet.size
    saw = share / 2 - np.abs(phase % 1 - 0.5)
    return sheet.cover(saw / np.maximum(steep, 1e-3))


def _two_discs(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Two overlapping sets of rings; the overlap has a third color."""
    x, y, reach = stage(sheet, direction, rng, small=0.17, large=0.75)
    pitch = _pitch(reach, direction)
    turn = rng.uniform(0, math.pi)
    reach = round(reach / pitch) * pitch
    apart = reach * rng.uniform(0.22, 0.42)
    masks = []
    for sign in (-1, 1):
        radius, _ = sheet.polar(
            x + sign * apart * math.cos(turn), y + sign * apart * math.sin(turn)
        )
        masks.append(_stripes(sheet, radius / pitch) * sheet.cover(reach - radius))
    sheet.lay(Ink.MAIN, masks[0])
    sheet.lay(Ink.SECOND, masks[1])
    sheet.lay(pick(rng, (Ink.DEEP, Ink.GROUND, Ink.SPARK)), masks[0] * masks[1])


def _waves(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Stripes that swell in waves."""
    x, y, reach = stage(sheet, direction, rng, small=0.18, large=0.85)
    degrees = pick(rng, (0, 90, 90, 45))
    across, down = sheet.turned(math.radians(degrees), x, y)
    beat = rng.uniform(1.2, 2.2) / reach
    swing = lerp(0.9, 0.5, direction.order)
    phase = down / _pitch(reach, direction)
    phase = phase + swing * np.sin(across * beat * 2.6 + 1.4 * np.sin(down * beat * 1.3))
    share = 0.5 + 0.22 * np.sin(across * beat * 1.7 + rng.uniform(0, 6))
    bands = _stripes(sheet, phase, share)
    far = np.hypot(across, down)
    if degrees != 45 and rng.uniform() < 0.6:
        far = np.maximum(np.abs(across), np.abs(down)) * 1.1
    window = sheet.cover(reach - far) if reach < 0.55 else np.ones_like(bands)
    position = 0.5 + across / reach / 2
    if rng.uniform() < 0.5:
        sheet.lay(pick(rng, (Ink.DEEP, Ink.THIRD)), window)
    sheet.grade((Ink.MAIN, Ink.SECOND), position, bands * window)


def _bulge(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """A sphere bulging out of a plane of stripes or squares."""
    x, y, reach = stage(sheet, direction, rng, small=0.17, large=0.6)
    across, down = sheet.turned(math.radians(pick(rng, (0, 45, 90, 30))), x, y)
    radius = np.hypot(across, down) / reach
    lens = np.where(radius < 1, 0.45 + 0.55 * smooth(radius), 1).astype(np.float32)
    pitch = _pitch(reach, direction) * 1.1
    first, second = across * lens / pitch, down * lens / pitch
    pattern = _stripes(sheet, first)
    if rng.uniform() < 0.5:
        other = _stripes(sheet, second)
        pattern = pattern + other - 2 * pattern * other
    ball = sheet.cover((1 - radius) * reach)
    around = sheet.cover((lerp(1.0, 2.6, direction.scale) - radius) * reach)
    sheet.lay(pick(rng, (Ink.THIRD, Ink.DEEP)), pattern * around)
    sheet.lay(Ink.MAIN, ball * (1 - pattern))
    sheet.lay(pick(rng, (Ink.DEEP, Ink.SECOND)), pattern * ball)
    light = np.hypot(across + reach * 0.35, down + reach * 0.35) / reach
    sheet.shade(1 + ball * (0.12 - 0.20 * smooth(light / 1.5)))


def _split(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """A form that is visible only because its stripes run in another direction."""
    x, y, reach = stage(sheet, direction, rng, small=0.18, large=0.75)
    turn = math.radians(pick(rng, (0, 45, 90, -45)))
    across, down = sheet.turned(turn, x, y)
    pitch = _pitch(reach, direction)
    outer = _stripes(sheet, down / pitch)
    inner = _stripes(sheet, across / pitch)
    kind = pick(rng, ("disc", "half", "diamond"))
    shape = {
        "disc": np.hypot(across, down) - reach * 0.62,
        "half": np.maximum(np.hypot(across, down) - reach * 0.7, across),
        "diamond": np.abs(across) + np.abs(down) - reach * 0.8,
    }[kind]
    form = sheet.cover(-shape)
    reach = 2.0 if reach > 0.48 else (round(reach / pitch)) * pitch
    window = sheet.cover(reach - np.maximum(np.abs(across), np.abs(down)))
    sheet.lay(Ink.THIRD, outer * window * (1 - form))
    sheet.lay(Ink.GROUND, form * (1 - inner))
    sheet.lay(Ink.MAIN, inner * form)
