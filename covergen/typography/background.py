"""What lies below a title: how calm it is, and which colors can be read on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from covergen.core.color import (
    Floats,
    fit_gamut,
    linear_from_oklab,
    linear_from_srgb,
    oklab_from_linear,
    srgb_from_linear,
)
from covergen.finish.screen_print import find_inks
from covergen.typography.text_block import lettering

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.typography.text_block import Line


CONTRAST = 4.5
"""The least contrast of text (WCAG 2.2, success criterion 1.4.3)."""

_MARGIN = 1.03  # more contrast than needed, since what is measured is scaled down
_ENOUGH = 9.0
_SIDE, _INK_SIDE, _INKS = 256, 96, 8
_AROUND = 2  # pixels of `_SIDE`
_TINT, _SHADE = 0.98, 0.14  # OKLab lightness of an ink thinned to paper, or laid on thick
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # WCAG 2.2, relative luminance

Color = tuple[int, int, int]
"""8-bit sRGB."""


def luminance(color: Color) -> float:
    """Return the relative luminance of a color, from 0 to 1."""
    return float(linear_from_srgb(np.array(color, np.uint8)) @ _LUMINANCE)


def contrast(one: float, other: float) -> float:
    """Return the contrast of two luminances, from 1 to 21."""
    high, low = max(one, other), min(one, other)
    return (high + 0.05) / (low + 0.05)


@dataclass(frozen=True)
class Ground:
    """A picture that text is set on: (H, H, 3) uint8 sRGB."""

    pixels: NDArray[np.uint8]

    @property
    def side(self) -> int:
        """The picture's side in pixels."""
        return len(self.pixels)

    @cached_property
    def _small(self) -> Floats:
        image = Image.fromarray(self.pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX)
        return linear_from_srgb(np.asarray(image))

    @cached_property
    def _luminance(self) -> Floats:
        bright: Floats = self._small @ _LUMINANCE
        return bright

    @cached_property
    def _unrest(self) -> Floats:
        """How much the lightness changes at each place, between light and dark 1."""
        light = oklab_from_linear(self._small)
        down = np.abs(np.diff(light, axis=0, append=light[-1:])).sum(-1)
        across = np.abs(np.diff(light, axis=1, append=light[:, -1:])).sum(-1)
        unrest: Floats = np.maximum(down, across)
        return unrest

    @cached_property
    def inks(self) -> tuple[Color, ...]:
        """The main colors of the picture, by decreasing area."""
        image = Image.fromarray(self.pixels).resize((_INK_SIDE, _INK_SIDE), Image.Resampling.BOX)
        oklab = oklab_from_linear(linear_from_srgb(np.asarray(image)))
        return _colors(find_inks(oklab, np.ones(oklab.shape[:2]), _INKS))

    @cached_property
    def papers(self) -> tuple[Color, ...]:
        """The inks, thinned to a light paper."""
        return _at_lightness(self.inks, _TINT, most_chroma=0.016)

    @cached_property
    def shades(self) -> tuple[Color, ...]:
        """The inks, laid on until they are nearly black."""
        return _at_lightness(self.inks, _SHADE, most_chroma=0.05)

    def below(self, lines: Iterable[Line]) -> NDArray[np.bool_]:
        """Return the places at and next to the letters of some lines."""
        scale = _SIDE / self.side
        image = Image.new("RGB", (_SIDE, _SIDE))
        for line in lines:
            lettering().draw(
                image,
                (round(line.x * scale), round(line.y * scale)),
                line.text,
                size=max(1, round(line.size * scale)),
                weight=line.weight,
                color="#ffffff",
            )
        letters = image.convert("L").point(lambda value: 255 if value else 0)
        return np.asarray(letters.filter(ImageFilter.MaxFilter(2 * _AROUND + 1))) > 0

    def unrest(self, places: NDArray[np.bool_]) -> float:
        """Return how busy the picture is in some places, from 0 (flat)."""
        return float(self._unrest[places].mean()) if places.any() else 0.0

    def ink_for(self, places: NDArray[np.bool_]) -> Color | None:
        """Return the color that is read best in some places, None if none can be read.

        An ink of the picture, or else its paper or shade.
        """
        values = self._luminance[places]
        if not values.size:
            return None
        return self._readable_on((float(values.min()), float(values.max())))

    def ink_on(self, paper: Color) -> Color:
        """Return the color that is read best on a plain one of `papers` or `shades`."""
        light = luminance(paper)
        best = self._readable_on((light, light))
        return best or ((0, 0, 0) if light > 0.2 else (255, 255, 255))

    def _readable_on(self, range_: tuple[float, float]) -> Color | None:
        for colors in (self.inks, (*self.papers, *self.shades)):
            rated = [(min(contrast(luminance(c), r) for r in range_), c) for c in colors]
            readable = [
                (min(rate, _ENOUGH), -index, color)
                for index, (rate, color) in enumerate(rated)
                if rate >= CONTRAST * _MARGIN and not _lies_in(luminance(color), range_)
            ]
            if readable:
                return max(readable)[2]
        return None


def _lies_in(light: float, range_: tuple[float, float]) -> bool:
    return range_[0] < light < range_[1]


def _at_lightness(
    colors: Iterable[Color], lightness: float, most_chroma: float
) -> tuple[Color, ...]:
    oklab = oklab_from_linear(linear_from_srgb(np.array(list(colors), np.uint8)))
    chroma = np.linalg.norm(oklab[:, 1:], axis=1, keepdims=True)
    oklab[:, 1:] *= np.minimum(1, most_chroma / np.maximum(chroma, 1e-6))
    oklab[:, 0] = lightness
    return _colors(fit_gamut(oklab))


def _colors(oklab: Floats) -> tuple[Color, ...]:
    pixels = srgb_from_linear(linear_from_oklab(oklab))
    return tuple((int(r), int(g), int(b)) for r, g, b in pixels)
