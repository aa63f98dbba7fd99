"""Set an album's title, and its artist, on a cover."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from covergen.typography.background import CONTRAST, Ground, contrast, luminance
from covergen.typography.text_block import lettering
from covergen.typography.title_layouts import OPEN_LAYOUTS, PLAIN_LAYOUTS, Design, Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.typography.background import Color
    from covergen.typography.text_block import Line
    from covergen.typography.title_layouts import Layout


_CALM, _BUSY = 0.04, 0.1  # unrest of places that are as good as any, and of those never used
_PLAIN = 0.25  # the share of titles with a plain ground where none is needed
_FRAME = 1.4  # the least contrast of a frame and what it frames
_LIGHT_INK = 0.75  # luminance


@dataclass(frozen=True, slots=True)
class Composition:
    """Lines in a color, and what they are drawn on: (H, H, 3) uint8 sRGB.

    `turned`: the lines run upwards; their places are those on the picture turned clockwise.
    """

    ground: NDArray[np.uint8]
    lines: tuple[Line, ...]
    color: Color
    turned: bool = False

    def drawn(self) -> NDArray[np.uint8]:
        """Return the picture with the lines."""
        image = Image.fromarray(self.ground)
        if self.turned:
            image = image.transpose(Image.Transpose.ROTATE_270)
        for line in self.lines:
            lettering().draw(
                image,
                (round(line.x), round(line.y)),
                line.text,
                size=line.size,
                weight=line.weight,
                color="#{:02x}{:02x}{:02x}".format(*self.color),
            )
        return np.asarray(image.transpose(Image.Transpose.ROTATE_90) if self.turned else image)


def compose(pixels: NDArray[np.uint8], title: str, artist: str, *, seed: int) -> Composition | None:
    """Set a title and an artist ("" for none) on a picture.

    pixels: (H, H, 3) uint8 sRGB. The layout follows from the seed and from where the picture is
    calm, the colors from the picture; their contrast is at least 4.5 : 1. Returns None if there is
    no title, or a letter of it is in none of the fonts.
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
            return Composition(pixels, design.lines, color)
    raise AssertionError("a panel fits every picture")


def _designs(words: Words, ground: Ground, chance: Random) -> Iterator[Design]:
    """Yield the designs in the order to try them; the last ones fit every picture."""
    plain = chance.sample(PLAIN_LAYOUTS, len(PLAIN_LAYOUTS))
    if chance.random() < _PLAIN:
        yield from _offered(plain, words, chance)
    found: list[tuple[float, Design]] = []
    for layout in dict.fromkeys(chance.sample(OPEN_LAYOUTS, len(OPEN_LAYOUTS))):
        rated = [(_unrest(d, ground), d) for d in _offered([layout], words, chance)]
        found += sorted(rated, key=lambda pair: round(pair[0], 2))
    for least, most in pairwise((0.0, _CALM, _BUSY)):
        yield from (design for unrest, design in found if least <= unrest < most)
    yield from _offered(plain, words, chance)


def _unrest(design: Design, ground: Ground) -> float:
    """Return how busy the picture is below the line where it is busiest."""
    return max(ground.unrest(ground.below([line])) for line in design.lines)


def _offered(layouts: Iterable[Layout], words: Words, chance: Random) -> Iterator[Design]:
    """Yield the designs of each layout in any order."""
    for layout in dict.fromkeys(layouts):
        designs = list(layout(words))
        yield from chance.sample(designs, len(designs))


def _on_panel(design: Design, words: Words, ground: Ground, chance: Random) -> Composition:
    paper = chance.choice(_papers(ground, framing=design.panel == "plate"))
    side, height = words.side, round(design.height)
    image = Image.fromarray(ground.pixels)
    match design.panel:
        case "plate":
            image = _plate(image, paper, round(words.margin), height)
        case "spine":
            image.paste(paper, (0, 0, height, side))
        case "top":
            image.paste(paper, (0, 0, side, height))
        case _:
            image.paste(paper, (0, side - height, side, side))
    return Composition(
        np.asarray(image), design.lines, ground.ink_on(paper), turned=design.panel == "spine"
    )


def _plate(image: Image.Image, paper: Color, margin: int, height: int) -> Image.Image:
    """Return the picture within a margin, with `height` pixels of paper below it."""
    side = image.width
    width, tall = side - 2 * margin, side - margin - height
    scaled = image.resize((width, width), Image.Resampling.LANCZOS)
    top = (width - tall) // 2
    plate = Image.new("RGB", (side, side), paper)
    plate.paste(scaled.crop((0, top, width, top + tall)), (margin, margin))
    return plate


def _papers(ground: Ground, *, framing: bool) -> list[Color]:
    """Return colors for a panel, on which another color of the picture can be read.

    What is `framing` the picture differs from its main color.
    """
    light = [ink for ink in ground.inks if luminance(ink) > _LIGHT_INK] or [*ground.papers]
    plain = (ground.papers[0], ground.shades[0])
    strong = [
        ink
        for ink in ground.inks[:3]
        if any(contrast(luminance(ink), luminance(other)) > CONTRAST for other in plain)
    ]
    papers = [light[0], light[0], *strong[:2], ground.shades[0]]
    main = luminance(ground.inks[0])
    differing = [paper for paper in papers if contrast(luminance(paper), main) > _FRAME]
    return differing or papers if framing else papers
