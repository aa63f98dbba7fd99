"""Palettes of six inks, chosen by eye, and how one is selected and tuned for a target tone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from covergen.core.color import (
    cielab_from_linear,
    fit_gamut,
    linear_from_oklab,
    linear_from_srgb,
    oklab_from_linear,
)
from covergen.poster.painter.ink_sheet import Ink

if TYPE_CHECKING:
    from covergen.core.color import Floats
    from covergen.poster.painter.direction import Tone
    from covergen.poster.painter.ink_sheet import Sheet


# Inks in the order of `Ink`: GROUND, DEEP, MAIN, SECOND, THIRD, SPARK.
_HEX = """
    0B1D3A 050D1C 3E7CB1 A9C7E8 1F4E79 F2E9D8
    10243E 081320 2A6F97 89C2D9 1B4965 FFD6A5
    1B1F3B 0D0F20 53599A 9FA8DA 343A75 F6AE2D
    0F2F3D 07181F 2C7DA0 A9D6E5 14505F E9C46A
    14213D 0A1020 4F6D9A C9D6EA 2B3F66 FCA311
    1A2A40 0C1522 6C8EAD D9E2EC 3B566E E07A5F
    122B39 08161D 3C8D93 B8E0D2 1F5560 F4D58D
    201E42 0F0E22 6457A6 B9B1E0 3E3A7A FF9B71
    0D2A45 061626 1C77C3 8FD3FE 39A2DB F7F3E3
    23304A 111826 7A93AC E0E5EC 48607E D1495B
    5A0F2E 25061A E01E5A FF9EAA 9C1B4B FFE8D6
    7A0C2E 2B0414 F23D5E FFC2B4 B3163F FFD23F
    8C1C3A 300A18 F4508B FFB3C6 C2255C F9F5E3
    6A1B4D 260A20 E84393 FDA7DF A12C7A FFE66D
    4A0E4E 1E0522 C2185B F48FB1 7B1FA2 FFD180
    A4133C 38040E FF4D6D FFCCD5 C9184A 2EC4B6
    9B1D20 2E0A0B EF5B3C FFC09F C8102E F7E7CE
    3C0A1E 18040C D62246 F0A6B0 7F1734 F7B538
    B5123B 3A0613 FF6F59 FFD5C2 D7263D 1B1B3A
    2D0B2E 120414 B3186D F25CA2 6B1B5E F9D423
    EAF0DC 3D5A45 8FB996 C9DDB8 5F8D6E E58B5B
    F3EBD3 45524A A3B18A D6CFA8 6B8F71 D98F4E
    E3F0EA 2F5D62 7FB7BE B9DDD3 4F8A8B F4B860
    F6EFD9 5C5346 E6C27A F0DBA8 B48A55 6FA8A0
    E8F1E4 405E58 9CC5A1 CFE5C8 6FA287 F2A65A
    FAF3DD 4A6670 AED9E0 FFE0B5 7FB7BE FFA69E
    EEF3D2 50623A BFD38C DDE8B0 86A25A E87A5D
    F7F0E6 4C4A59 D9C5B2 C8D5B9 8FC0A9 E4572E
    DFF0EE 28595E 8CD0C5 BFE6DC 4CA3A0 FF9F6B
    F5EBE0 58514A D6CCC2 E3D5CA B08968 8ECAE6
    FFC93C 7A3B12 FF6F3C FFF1C9 E8543B 155E63
    FFB703 6B2D0F FB5607 FFF3D6 F48C06 219EBC
    FFD166 5C2A1E EF476F FFF5E1 F78C6B 118AB2
    FFA62B 61240F F25C27 FFE9C7 E3432B 16697A
    F9C74F 6D3A10 F3722C FFF4D2 F8961E 577590
    FFB454 70270E FF5D5D FFF0DA E8453C 2D7DD2
    FF8A5B 6A1E1E FFD25A FFF2DD EA526F 25CED1
    FFDE59 71420F FF914D FFF8E1 F25F3A 4361EE
    FF9F1C 5A1F10 FFE08A FFF6E9 E71D36 2EC4B6
    FFCB69 5D3A1A E8AC65 FFF7E6 D08C60 B58DB6
    FF7F51 5B1A18 FFB627 FFEFD6 CE4257 2A9D8F
    F7B32B 5B2C0E F72C25 FCF6B1 E4572E 2D1E2F
    2A9D8F 12403C E9C46A F4E8C1 F4A261 E76F51
    3D5A80 16263D 98C1D9 E0FBFC EE6C4D FFD9A0
    6D597A 2B2237 B56576 EAAC8B E56B6F FFE8D1
    355070 15243A EAAC8B FFE1C6 B56576 E56B6F
    457B9D 14304A A8DADC F1FAEE 1D3557 E63946
    588157 22361F A3B18A E9E4D0 3A5A40 F2A541
    9D4EDD 2C0F4F E0AAFF F7E9FF 5A189A FFD60A
    E07A5F 4A1E18 F4F1DE F2CC8F 81B29A 3D405B
    BC4B51 3A1318 F4A259 F7E4C8 8CB369 5B8E7D
    EF8275 5A2329 FFD6BA FFF3E8 C8553D 588B8B
    C06C84 38182B F8B195 FFE8DC 6C5B7B 355C7D
    4ECDC4 12464A F7FFF7 C7F0E4 1A8A87 FF6B6B
    8D6A9F 2A1F3D C5B9CD F3E9F5 5E4B8B F2C14E
    D66853 40171A F3C9A5 FFF0E0 7D4E57 364156
    8AB0AB 26413F F5D491 FDF6E3 3E505B E8684A
    DDB892 4A2F1D B08968 F4E9DC 7F5539 2F6690
    F28482 4F2228 F7EDE2 F6BD60 84A59D 5E3A56
    7FB069 22401F FFFBBD E6AA68 3F7D4E CA3C25
"""

_SHARES = np.array([0.48, 0.08, 0.18, 0.12, 0.10, 0.04], np.float32)  # typical, of the picture
_GROUNDS = (Ink.GROUND, Ink.MAIN, Ink.SECOND, Ink.THIRD)  # inks that can serve as the ground
_TOLERANCE = np.array([5.0, 5.0, 6.0, 6.0], np.float32)  # of L*, C*, a* and b*


def _read(text: str) -> Floats:
    """Parse hexadecimal colors to OKLab, (palettes, inks, 3)."""
    levels = np.frombuffer(bytes.fromhex(text), np.uint8).reshape(-1, len(Ink), 3)
    return oklab_from_linear(linear_from_srgb(levels))


def _with_other_grounds(palettes: Floats) -> Floats:
    """Return each palette once for every ink that can serve as ground, the two swapped."""
    turned = []
    for ink in _GROUNDS:
        order = list(Ink)
        order[Ink.GROUND], order[ink] = ink, Ink.GROUND
        turned.append(palettes[:, order])
    return np.concatenate(turned)


PALETTES = _with_other_grounds(_read(_HEX))
"""(palettes, inks, 3) in OKLab."""


def _tones(palettes: Floats) -> Floats:
    """Return the mean L*, C*, a* and b* of a typical picture in each palette, (palettes, 4)."""
    lab = cielab_from_linear(np.clip(linear_from_oklab(palettes), 0, 1))
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    tones: Floats = np.einsum(
        "pif,i->pf", np.stack([lab[..., 0], chroma, lab[..., 1], lab[..., 2]], -1), _SHARES
    )
    return tones


_TONES = _tones(PALETTES)


def draw_palette(tone: Tone, rng: np.random.Generator) -> Floats:
    """Draw a palette that suits the tone and vary it slightly. Returns (6, 3) in OKLab."""
    target = np.array([tone.lightness, tone.chroma, tone.a, tone.b], np.float32)
    miss = (((_TONES - target) / _TOLERANCE) ** 2).sum(1)
    odds = np.exp(-(miss - miss.min()) / 3)
    inks = PALETTES[int(rng.choice(len(PALETTES), p=odds / odds.sum()))]
    turn = math.radians(rng.normal(0, 5))
    cos, sin = math.cos(turn), math.sin(turn)
    colors = inks[:, 1:] @ np.array([[cos, sin], [-sin, cos]], np.float32)
    lightness = inks[:, :1] + rng.normal(0, 0.012, (len(inks), 1))
    return fit_gamut(np.hstack([lightness, colors]).astype(np.float32))


def tune(inks: Floats, sheet: Sheet, tone: Tone) -> Floats:
    """Shift all inks together in OKLab so that the sheet's means approach the tone.

    Adjusts lightness, its spread, chroma and color cast, within narrow bounds that keep the
    character of the palette. inks: (6, 3). Returns (6, 3).
    """
    stride = max(sheet.size // 26, 1)
    weights = sheet.weights[:, ::stride, ::stride].reshape(len(Ink), -1).T
    light = sheet.light[::stride, ::stride].reshape(-1, 1)
    lift, spread, vivid, cast = 0.0, 1.0, 1.0, np.zeros(2, np.float32)
    moved = inks
    for _ in range(8):
        middle = inks[:, 0].mean()
        lightness = (inks[:, :1] - middle) * spread + middle + lift
        moved = np.hstack([np.clip(lightness, 0.08, 0.985), inks[:, 1:] * vivid + cast])
        moved = fit_gamut(moved.astype(np.float32))
        lab = cielab_from_linear(np.clip(linear_from_oklab((weights @ moved) * light), 0, 1))
        error = np.array([tone.a, tone.b]) - lab[:, 1:].mean(0)
        chroma = np.hypot(lab[:, 1], lab[:, 2]).mean()
        lift = float(np.clip(lift + 0.009 * (tone.lightness - lab[:, 0].mean()), -0.07, 0.07))
        spread = float(np.clip(spread * (tone.contrast / lab[:, 0].std()) ** 0.5, 0.9, 1.15))
        vivid = float(np.clip(vivid * (tone.chroma / chroma) ** 0.6, 0.8, 1.3))
        cast = np.clip(cast + np.float32(0.0015) * error.astype(np.float32), -0.02, 0.02)
    return moved
