"""Two-ink halftone: a simple shaded form, printed in coarse dots or lines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.painter.composition import stage
from covergen.poster.painter.ink_sheet import Ink, lerp, pick, smooth

if TYPE_CHECKING:
    from covergen.core.color import Floats
    from covergen.poster.painter.direction import Direction
    from covergen.poster.painter.ink_sheet import Sheet


def compose(sheet: Sheet, direction: Direction, rng: np.random.Generator) -> None:
    """Draw a random composition: a halftone in MAIN, and a halftone or flat form in SECOND."""
    motif = sheet.choose(rng, (_ball, _twins, _swell, _fade))
    first, second, reach = motif(sheet, direction, rng)
    pitch = reach / lerp(2.8, 6.4, direction.count)
    screen = _lines if motif in (_ball, _twins) and rng.uniform() < 0.4 else _dots
    angle = math.radians(pick(rng, (15, 45, 75, 0)))
    if rng.uniform() < 0.55:
        sheet.lay(Ink.SECOND, sheet.cover(second - 0.5, 0.004))  # a flat second ink
    else:
        sheet.lay(Ink.SECOND, screen(sheet, second, pitch, angle + math.pi / 6))
    sheet.lay(pick(rng, (Ink.MAIN, Ink.MAIN, Ink.DEEP)), screen(sheet, first, pitch, angle))


def _dots(sheet: Sheet, tone: Floats, pitch: float, angle: float) -> Floats:
    """Return the mask of round dots whose area follows the tone at their centers."""
    across, down = sheet.turned(angle)
    column, row = np.rint(across / pitch), np.rint(down / pitch)
    # Sample the tone at the center of each dot so that dots stay round.
    cos, sin = math.cos(angle), math.sin(angle)
    x = 0.5 + (column * cos - row * sin) * pitch
    y = 0.5 + (column * sin + row * cos) * pitch
    last = sheet.size - 1
    at_x = np.clip(x * last, 0, last).astype(np.int32)
    at_y = np.clip(y * last, 0, last).astype(np.int32)
    size = np.sqrt(np.clip(tone, 0, 1))[at_y, at_x] * pitch * 0.47
    distance = np.hypot(across - column * pitch, down - row * pitch)
    return np.where(size > pitch * 0.12, sheet.cover(size - distance), 0)


def _lines(sheet: Sheet, tone: Floats, pitch: float, angle: float) -> Floats:
    """Return the mask of lines whose width follows the tone."""
    _, down = sheet.turned(angle)
    off = np.abs(down / pitch - np.rint(down / pitch)) * pitch
    half = np.clip(tone, 0, 1) * pitch * 0.5
    return np.where(half > pitch * 0.06, sheet.cover(half - off), 0)


def _ball(
    sheet: Sheet, direction: Direction, rng: np.random.Generator
) -> tuple[Floats, Floats, float]:
    """A lit sphere in front of a disc."""
    x, y, reach = stage(sheet, direction, rng, small=0.17, large=0.6)
    angle = rng.uniform(0, math.tau)
    lit = np.hypot(
        sheet.x - x - reach * 0.45 * math.cos(angle), sheet.y - y - reach * 0.45 * math.sin(angle)
    )
    ball = smooth(lit / reach / 1.35) * sheet.disc(x, y, reach)
    shift = reach * rng.uniform(0.1, 0.45)
    behind = sheet.disc(
        x + shift * math.cos(angle + 0.8), y + shift * math.sin(angle + 0.8), reach * 0.95
    )
    return ball, behind, reach


def _twins(
    sheet: Sheet, direction: Direction, rng: np.random.Generator
) -> tuple[Floats, Floats, float]:
    """Two discs that fade in opposite directions."""
    x, y, reach = stage(sheet, direction, rng, small=0.17, large=0.6)
    across, down = sheet.turned(math.radians(pick(rng, (0, 90, 45, -45))), x, y)
    shift = reach * 0.45
    left = np.hypot(across + shift, down)
    right = np.hypot(across - shift, down)
    first = sheet.cover(reach * 0.8 - left) * smooth(0.55 - (across + shift) / reach / 1.6)
    second = sheet.cover(reach * 0.8 - right) * smooth(0.55 + (across - shift) / reach / 1.6)
    return first, second, reach


def _swell(
    sheet: Sheet, direction: Direction, rng: np.random.Generator
) -> tuple[Floats, Floats, float]:
    """Waves around a small sun, within a square."""
    x, y, reach = stage(sheet, direction, rng, small=0.18, large=0.8)
    sun_x, sun_y = (at + reach * pick(rng, (-0.4, 0.0, 0.4)) for at in (x, y))
    radius, _ = sheet.polar(sun_x, sun_y)
    waves = 0.5 - 0.5 * np.cos(radius / reach * rng.uniform(4.5, 7.0))
    window = sheet.cover(reach - np.maximum(np.abs(sheet.x - x), np.abs(sheet.y - y)))
    return (waves * window).astype(np.float32), sheet.disc(sun_x, sun_y, reach * 0.24), reach


def _fade(
    sheet: Sheet, direction: Direction, rng: np.random.Generator
) -> tuple[Floats, Floats, float]:
    """A sun above a fading ground."""
    x, _, reach = stage(sheet, direction, rng, small=0.13, large=0.42)
    horizon = lerp(0.72, 0.58, direction.scale)
    depth = lerp(0.18, 0.45, direction.scale)
    ground = smooth((sheet.y - horizon) / depth) * (sheet.y > horizon)
    sun = sheet.disc(x, horizon - reach * rng.uniform(0.1, 0.9), reach)
    return np.broadcast_to(ground, sun.shape), sun, reach
