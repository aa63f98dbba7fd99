"""Palettes: six inks in harmony, drawn in OKLCH and then moved together until the tone is right."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from covergen.starter.painter.color import (
    cielab_from_linear,
    fit_gamut,
    linear_from_oklab,
    oklab_from_oklch,
)
from covergen.starter.painter.sheet import Ink, pick

if TYPE_CHECKING:
    from covergen.starter.painter.color import Floats
    from covergen.starter.painter.direction import Tone
    from covergen.starter.painter.sheet import Sheet


__all__ = ["HARMONIES", "draw_palette", "mud", "tune"]

# OKLab lightness of GROUND, DEEP, MAIN, SECOND, THIRD, SPARK.
_DARK = (0.25, 0.15, 0.62, 0.80, 0.43, 0.92)
_LIGHT = (0.94, 0.34, 0.62, 0.78, 0.50, 0.66)

# For each of the same inks, the hue in degrees from the base hue, and the chroma.
HARMONIES = {
    "monochrome": ((0, 0.06), (0, 0.05), (5, 0.13), (-8, 0.10), (8, 0.12), (180, 0.18)),
    "analogous": ((0, 0.07), (-20, 0.06), (-35, 0.15), (40, 0.14), (10, 0.14), (70, 0.17)),
    "complementary": ((0, 0.06), (180, 0.06), (0, 0.16), (180, 0.13), (15, 0.14), (165, 0.17)),
    "split": ((0, 0.06), (150, 0.06), (-10, 0.16), (150, 0.13), (-150, 0.13), (30, 0.17)),
    "triad": ((0, 0.05), (0, 0.05), (0, 0.16), (120, 0.13), (-120, 0.13), (60, 0.17)),
    "duotone": ((0, 0.09), (0, 0.07), (110, 0.15), (110, 0.12), (55, 0.11), (120, 0.15)),
    "paper": ((0, 0.02), (0, 0.02), (0, 0.17), (0, 0.05), (10, 0.08), (180, 0.16)),
}

_ONE_SIDED = ("monochrome", "analogous", "duotone", "paper")
_BALANCED = ("complementary", "split", "triad", "duotone")
_BLENDING = ("monochrome", "analogous", "duotone")  # melt into each other without turning grey


def draw_palette(tone: Tone, rng: np.random.Generator, *, blending: bool = False) -> Floats:
    """Inks as OKLab, (6, 3): the harmony is chance, hue and key lean towards the tone.

    `blending` asks for inks that mix without turning grey.
    """
    base = math.degrees(math.atan2(tone.b, tone.a)) + rng.normal(0, 18)
    mirror = pick(rng, (-1, 1))
    ladder = _draw_ladder(tone, rng)
    # A mean near grey that is yet vivid takes opposite hues, one far from grey takes near hues.
    balance = math.hypot(tone.a, tone.b) / tone.chroma
    opposed = rng.uniform(0.5, 0.9) > balance
    choice = _BLENDING if blending else _BALANCED if opposed else _ONE_SIDED
    harmony = HARMONIES[pick(rng, choice)]
    inks = []
    for lightness, (turn, chroma) in zip(ladder, harmony, strict=True):
        inks.append(
            oklab_from_oklch(
                lightness + rng.normal(0, 0.02),
                chroma * rng.uniform(0.85, 1.2),
                base + mirror * turn + rng.normal(0, 5),
            )
        )
    return _lit_yellows(np.array(inks))


def _draw_ladder(tone: Tone, rng: np.random.Generator) -> tuple[float, ...]:
    """The inks' lightness: on a dark ground, on a light one, or on one as light as the tone."""
    middle = 1 - min(abs(tone.lightness - 55) / 30, 1.0)
    vivid = min(max((tone.chroma - 25) / 30, 0.0), 1.0)
    if rng.uniform() < 0.05 + 0.4 * middle + 0.85 * vivid:
        ground = min(max((tone.lightness + 16) / 116, 0.36), 0.82)
        side = 1 if ground < 0.5 else -1 if ground > 0.74 else pick(rng, (-1, 1))
        return (
            ground,
            max(ground - 0.42, 0.15),
            min(max(ground + 0.30 * side, 0.2), 0.96),
            min(max(ground - 0.22 * side, 0.2), 0.93),
            ground + 0.13 * side,
            0.96,
        )
    return _LIGHT if rng.uniform() < (tone.lightness - 38) / 28 else _DARK


def _lit_yellows(inks: Floats) -> Floats:
    """Yellow and orange are themselves only when light: lift those of a middle lightness."""
    hue = np.rad2deg(np.arctan2(inks[:, 2], inks[:, 1]))
    yellow = np.exp(-(((hue - 82) / 32) ** 2)) * (inks[:, 0] > 0.45)
    lift = np.maximum(0.76 - inks[:, 0], 0) * 0.7 * yellow
    return np.stack([inks[:, 0] + lift, inks[:, 1], inks[:, 2]], axis=1).astype(np.float32)


def tune(inks: Floats, sheet: Sheet, tone: Tone) -> Floats:
    """The inks, moved together in OKLab until the picture's means come close to the tone.

    Lightness and its spread, chroma and the cast change for all alike, and the inks opposite to
    the wanted hue are muted, so that the harmony is kept. Every ink stays within sRGB and out of
    the mud, and the moves are bounded: a tone that this picture cannot have is approached only.
    """
    stride = max(sheet.size // 26, 1)
    weights = sheet.weights[:, ::stride, ::stride].reshape(len(Ink), -1).T
    light = sheet.light[::stride, ::stride].reshape(-1, 1)
    lean = np.array([tone.a, tone.b], np.float32) / max(math.hypot(tone.a, tone.b), 1e-6)
    lift, spread, vivid, mute, cast = 0.0, 1.0, 1.0, 0.0, np.zeros(2, np.float32)
    for _ in range(12):
        lightness = (inks[:, :1] - inks[:, 0].mean()) * spread + inks[:, 0].mean() + lift
        colors = inks[:, 1:] * vivid
        against = (colors @ lean < 0)[:, None]
        colors = colors * np.where(against, 1 - mute, 1 + 0.25 * mute) + cast
        moved = np.hstack([np.clip(lightness, 0.08, 0.985), colors])
        moved = fit_gamut(_without_mud(moved, tone))
        lab = cielab_from_linear(np.clip(linear_from_oklab((weights @ moved) * light), 0, 1))
        error = np.array([tone.a, tone.b]) - lab[:, 1:].mean(0)
        chroma = np.hypot(lab[:, 1], lab[:, 2]).mean()
        lift = float(np.clip(lift + 0.009 * (tone.lightness - lab[:, 0].mean()), -0.5, 0.5))
        spread = float(np.clip(spread * (tone.contrast / lab[:, 0].std()) ** 0.5, 0.6, 1.35))
        vivid = float(np.clip(vivid * (tone.chroma / chroma) ** 0.6, 0.45, 2.6))
        mute = float(np.clip(mute + 0.015 * (error @ lean), 0, 0.75))
        cast = np.clip(cast + np.float32(0.0015) * error.astype(np.float32), -0.09, 0.09)
    return moved


def mud(lab: Floats) -> float:
    """The share of a picture, in CIE L*a*b*, that is tan, khaki or brown."""
    lightness, chroma = lab[..., 0], np.hypot(lab[..., 1], lab[..., 2])
    yellowish = (lab[..., 2] > 0.9 * np.abs(lab[..., 1])) & (lab[..., 1] > -0.4 * lab[..., 2])
    dull = (lightness > 30) & (lightness < 78) & (chroma > 8) & (chroma < 0.8 * lightness - 4)
    return float((yellowish & dull).mean())


def _without_mud(inks: Floats, tone: Tone) -> Floats:
    """No browns and khakis, and no ground of a middle lightness without a clear hue.

    Dark yellow reads as dirt: the darker an ink, the further it is kept from yellow, on the red
    side or on the green.
    """
    lightness, a, b = inks[:, 0], inks[:, 1].copy(), inks[:, 2].copy()
    clear = np.clip((lightness - 0.16) / 0.16, 0, 1) * np.clip((0.97 - lightness) / 0.25, 0, 1)
    lean = math.atan2(tone.b, tone.a)
    along = a[0] * math.cos(lean) + b[0] * math.sin(lean)
    yellow = math.exp(-(((math.degrees(lean) - 85) / 25) ** 2))
    least = max(0.08, 0.0028 * math.hypot(tone.a, tone.b)) + 0.05 * yellow
    lack = max(least * clear[0] - max(along, 0.0), 0.0)
    a[0] += lack * math.cos(lean)
    b[0] += lack * math.sin(lean)
    chroma, hue = np.hypot(a, b), np.rad2deg(np.arctan2(b, a))
    red_side = np.interp(lightness, (0.40, 0.55, 0.68, 0.76, 0.88), (36, 46, 62, 82, 108))
    green_side = np.interp(lightness, (0.40, 0.60, 0.80, 0.90), (152, 142, 122, 108))
    warm = tone.a > -5
    dirty = (hue > red_side) & (hue < green_side)
    dirty[Ink.GROUND] |= warm and red_side[0] < hue[0] < 180  # the large one shall not jump
    clean = red_side if warm else green_side
    slack = np.where(np.arange(len(inks)) == Ink.GROUND, 0.0, 0.12)
    hue = np.deg2rad(np.where(dirty, clean + slack * (hue - clean), hue))
    chroma = np.maximum(chroma, 0.045 * clear)
    polar = [lightness, chroma * np.cos(hue), chroma * np.sin(hue)]
    return np.stack(polar, axis=1).astype(np.float32)
