"""Set an album's title, and its artist, on a cover."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from covergen.typography.block import lettering
from covergen.typography.ground import CONTRAST, Ground, contrast, luminance
from covergen.typography.layouts import OPEN_LAYOUTS, PLAIN_LAYOUTS, Design, Words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from covergen.typography.block import Line
    from covergen.typography.ground import Color

__all__ = ["set_title"]

_CALM, _BUSY = 0.04, 0.1  # unrest of places that are as good as any, and of those never used
_PLAIN = 0.25  # the share of titles with a plain ground where none is needed
_LIGHT_INK = 0.75  # luminance


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
    ground, chance = Ground(pixels), Random(seed)  # noqa: S311 - no secret
    for design in _designs(words, ground, chance):
        if design.panel:
            return _on_panel(design, words, ground, chance)
        if color := ground.ink_for(ground.below(design.lines)):
            return _drawn(Image.fromarray(pixels), design.lines, color)
    raise AssertionError("a panel can always be read")


def _designs(words: Words, ground: Ground, chance: Random) -> Iterator[Design]:
    """Yield the designs in the order to try them; the last ones fit every picture."""
    plain = [
        design
        for layout in chance.sample(PLAIN_LAYOUTS, len(PLAIN_LAYOUTS))
        for design in _shuffled(layout(words), chance)
    ]
    if chance.random() < _PLAIN:
        yield from plain
    found = []
    for layout in chance.sample(OPEN_LAYOUTS, len(OPEN_LAYOUTS)):
        rated = [
            (ground.unrest(ground.below(d.lines)), d) for d in _shuffled(layout(words), chance)
        ]
        found += sorted(rated, key=lambda pair: round(pair[0], 2))
    for least, most in pairwise((0.0, _CALM, _BUSY)):
        yield from (design for unrest, design in found if least <= unrest < most)
    yield from plain


def _shuffled(designs: Iterable[Design], chance: Random) -> list[Design]:
    found = list(designs)
    return chance.sample(found, len(found))


def _on_panel(design: Design, words: Words, ground: Ground, chance: Random) -> NDArray[np.uint8]:
    paper = chance.choice(_papers(ground))
    ink = ground.ink_on(paper)
    side, height = words.side, round(design.height)
    image = Image.fromarray(ground.pixels)
    if design.panel == "plate":
        return _drawn(_plate(image, paper, round(words.margin), height), design.lines, ink)
    if design.panel == "spine":
        strip = Image.new("RGB", (side, height), paper)
        turned = Image.fromarray(_drawn(strip, design.lines, ink)).transpose(
            Image.Transpose.ROTATE_90
        )
        image.paste(turned, (0, 0))
        return np.asarray(image)
    top = 0 if design.panel == "top" else side - height
    image.paste(paper, (0, top, side, top + height))
    return _drawn(image, design.lines, ink)


def _plate(image: Image.Image, paper: Color, margin: int, height: int) -> Image.Image:
    """Return the picture within a margin, with `height` pixels of paper below it."""
    side = image.width
    width, tall = side - 2 * margin, side - margin - height
    scaled = image.resize((width, width), Image.Resampling.LANCZOS)
    top = (width - tall) // 2
    plate = Image.new("RGB", (side, side), paper)
    plate.paste(scaled.crop((0, top, width, top + tall)), (margin, margin))
    return plate


def _papers(ground: Ground) -> list[Color]:
    """Return colours for a panel, on which another colour of the picture can be read."""
    light = [ink for ink in ground.inks if luminance(ink) > _LIGHT_INK] or [*ground.papers]
    plain = (ground.papers[0], ground.shades[0])
    strong = [
        ink
        for ink in ground.inks[:3]
        if any(contrast(luminance(ink), luminance(other)) > CONTRAST for other in plain)
    ]
    return [light[0], light[0], *strong[:2], ground.shades[0]]


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
