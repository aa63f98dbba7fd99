"""Captions of pictures: what is drawn and how, in which colors, and in what mood."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from covergen.core.color import linear_from_srgb, oklab_from_linear

if TYPE_CHECKING:
    from covergen.core.color import Floats
    from covergen.poster.painter.direction import Direction, Tone
    from covergen.poster.painter.ink_sheet import Sheet


COMPOSITIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "swiss geometry": ("arcs", "modules", "bars", "forms"),
        "gradient mesh": ("orb", "capsules", "fluted", "petals", "phases"),
        "flow field": ("current", "whirl", "comb"),
        "cut paper": ("waves", "tunnel", "shards", "pebbles"),
        "record grooves": ("record", "sliced", "ripples", "arches"),
        "ridge lines": ("lines", "ranges", "crown"),
        "truchet tiles": ("pipes", "weave", "triangles"),
        "op art": ("two discs", "waves", "bulge", "split"),
        "halftone print": ("ball", "twins", "swell", "fade"),
        "ink brush": ("enso", "bars", "swash", "moon"),
        "horizon landscape": ("water", "dunes", "striped sun", "fields", "bands"),
    }
)
"""The families of pictures, and the compositions of each."""

_PLACES = ("centred", "left", "right", "high", "low")
_COUNTS = ("few", "some", "several", "many")
_SIZES = ("small", "medium", "large", "vast")
_EDGES = ("smooth", "even", "rough")
_ORDERS = ("free", "loose", "regular")
_WARMTHS = ("cool", "neutral", "warm")
_COLORS = ("muted", "colorful", "vivid")
_LIGHTS = ("dark", "dim", "bright", "pale")

_COLOR_NAMES = {
    "black": "141418",
    "charcoal": "3A3A40",
    "grey": "8E8E93",
    "white": "FFFFFF",
    "cream": "F7EBD0",
    "beige": "DCC4A0",
    "brown": "6B3E1E",
    "tan": "B08455",
    "maroon": "5C0F22",
    "crimson": "B5173C",
    "red": "E8322F",
    "coral": "F47C64",
    "orange": "F7871F",
    "amber": "FFB52E",
    "yellow": "FFDF4A",
    "lime": "B9D36A",
    "sage": "A3BE93",
    "green": "4E8F50",
    "forest": "24452A",
    "mint": "C4EBD8",
    "teal": "2A8C88",
    "petrol": "12454A",
    "aqua": "7CCBD2",
    "sky": "A9CFEE",
    "blue": "2F78BE",
    "slate": "5A7390",
    "navy": "12244A",
    "indigo": "353670",
    "violet": "7A4FC0",
    "lilac": "C3B0E2",
    "plum": "5A2257",
    "mauve": "96708F",
    "magenta": "C41E82",
    "pink": "F57FB0",
    "rose": "FBC3C9",
}
_SLOTS = (
    tuple(COMPOSITIONS),
    _PLACES,
    _COUNTS,
    _SIZES,
    _EDGES,
    _ORDERS,
    _COLOR_NAMES,
    _WARMTHS,
    _COLORS,
    _LIGHTS,
)

VOCABULARY = tuple(
    sorted(
        {
            "and",
            *(w for slot in (*_SLOTS, *COMPOSITIONS.values()) for n in slot for w in n.split()),
        }
    )
)
"""Every word that a caption can contain. Words are separated by ", " or a space."""

_COLORS_OKLAB = oklab_from_linear(
    linear_from_srgb(np.array([list(bytes.fromhex(h)) for h in _COLOR_NAMES.values()], np.uint8))
)
_SHOWN = 0.025  # share of the picture below which an ink is not named


def describe(family: str, sheet: Sheet, inks: Floats, tone: Tone, direction: Direction) -> str:
    """Return the caption: family, forms, colors by decreasing area, and mood.

    For example "cut paper, tunnel, low left, few, large, smooth, loose, navy and blue and cream,
    cool, muted, dark".
    """
    return ", ".join(
        (
            family,
            *sheet.notes,
            _graded(_COUNTS, direction.count, (0.25, 0.5, 0.75)),
            _graded(_SIZES, direction.scale, (0.25, 0.5, 0.75)),
            _graded(_EDGES, direction.jag, (0.35, 0.65)),
            _graded(_ORDERS, direction.order, (0.35, 0.65)),
            " and ".join(_name_inks(sheet, inks)),
            _graded(_WARMTHS, tone.b + 0.5 * tone.a, (4, 25)),
            _graded(_COLORS, tone.chroma, (31, 41)),
            _graded(_LIGHTS, tone.lightness, (42, 55, 68)),
        )
    )


def mirror(caption: str) -> str:
    """Return the caption of the mirrored picture."""
    swapped = {"left": "right", "right": "left"}
    return ", ".join(
        " ".join(swapped.get(word, word) for word in part.split()) for part in caption.split(", ")
    )


def _name_inks(sheet: Sheet, inks: Floats) -> list[str]:
    """Return the names of up to four inks by decreasing area."""
    areas = sheet.weights.mean((1, 2))
    names: list[str] = []
    for ink in np.argsort(-areas):
        distances = np.linalg.norm((_COLORS_OKLAB - inks[ink]) * (1, 2, 2), axis=1)
        name = list(_COLOR_NAMES)[int(distances.argmin())]
        if name not in names and (areas[ink] > _SHOWN or not names):
            names.append(name)
    return names[:4]


def _graded(words: tuple[str, ...], value: float, limits: tuple[float, ...]) -> str:
    return words[sum(value > limit for limit in limits)]
