"""Set an album's title, and its artist, on a cover."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from covergen.typography.block import lettering
from covergen.typography.ground import CONTRAST, Ground, contrast, luminance
from covergen.typography.layouts import LAYOUTS, PLAIN_LAYOUTS, Design, Words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from covergen.typography.block import Box, Line
    from covergen.typography.ground import Color

__all__ = ["set_title"]

_CALM = 0.035  # unrest below which a place is as good as any


def set_title(
    pixels: NDArray[np.uint8], title: str, artist: str, *, seed: int
) -> NDArray[np.uint8] | None:
    """Set a title and an artist ("" for none) on a picture.

    pixels: (H, H, 3) uint8 sRGB; so is the result. The layout follows from the seed and from where
    the picture is calm, the colours from the picture; their contrast is at least 4.5 : 1. Returns
    None if there is no title, or a letter of it is in none of the fonts.
    """
    title, artist = lettering().drawable(title), lettering().drawable(artist)
    if not title:
        return None
    if artist.casefold() == title.casefold():
        artist = ""
    words = Words.of(title, artist, len(pixels))
    ground = Ground(pixels)
    for design in _designs(words, ground, seed):
        if design.panel:
            return _on_panel(design, words, ground, seed)
        if color := ground.ink_for(_boxes(design.lines)):
            return _drawn(Image.fromarray(pixels), design.lines, color)
    raise AssertionError("a panel can always be read")


def _designs(words: Words, ground: Ground, seed: int) -> Iterator[Design]:
    """Yield the designs in the order of the seed, each layout's calmest first, then plain ones."""
    first = seed % len(LAYOUTS)
    order = [LAYOUTS[(first + 3 * step) % len(LAYOUTS)] for step in range(len(LAYOUTS))]
    for calm in (True, False):
        for layout in order:
            for design in _by_calm(layout(words), ground):
                if design.panel or not calm or ground.unrest(_boxes(design.lines)) < _CALM:
                    yield design
    yield from chain.from_iterable(layout(words) for layout in PLAIN_LAYOUTS)


def _by_calm(designs: Iterator[Design], ground: Ground) -> list[Design]:
    return sorted(designs, key=lambda design: round(ground.unrest(_boxes(design.lines)), 2))


def _boxes(lines: Sequence[Line]) -> list[Box]:
    """Return what the lines cover, with some space around them."""
    return [
        (left - pad, top - pad, right + pad, bottom + pad)
        for (left, top, right, bottom), pad in ((line.box, 0.2 * line.size) for line in lines)
    ]


def _on_panel(design: Design, words: Words, ground: Ground, seed: int) -> NDArray[np.uint8]:
    light = bool(seed >> 8 & 1)
    paper = _paper(ground, light=light or design.panel == "plate")
    side = words.side
    if design.panel == "plate":
        image = Image.new("RGB", (side, side), paper)
        margin = round(words.margin)
        width, height = side - 2 * margin, round(side - margin - design.height)
        scaled = Image.fromarray(ground.pixels).resize((width, width), Image.Resampling.LANCZOS)
        top = (width - height) // 2
        image.paste(scaled.crop((0, top, width, top + height)), (margin, margin))
    else:
        image = Image.fromarray(ground.pixels)
        height = round(design.height)
        image.paste(paper, (0, 0 if design.panel == "top" else side - height, side, side if design.panel == "bottom" else height))
    return _drawn(image, design.lines, ground.ink_on(paper))


def _paper(ground: Ground, *, light: bool) -> Color:
    """Return the colour of a panel: an ink on which something can be read, or its paper or shade."""
    plain = (*ground.papers[:1], *ground.shades[:1])
    if light:
        return plain[0]
    for ink in ground.inks[:3]:
        if any(contrast(luminance(ink), luminance(other)) > CONTRAST for other in plain):
            return ink
    return plain[1]


def _drawn(image: Image.Image, lines: Sequence[Line], color: Color) -> NDArray[np.uint8]:
    for line in lines:
        lettering().draw(
            image,
            (round(line.x), round(line.y)),
            line.text,
            size=line.size,
            weight=line.weight,
            color="#{:02x}{:02x}{:02x}".format(*color),
        )
    return np.asarray(image)
