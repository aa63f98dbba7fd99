"""The layouts of titles. Each offers designs, of which those are used that can be read."""

# ruff: noqa: RUF001 - quotation marks and brackets of many languages

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from covergen.gallery.lettering import clusters, is_right_to_left
from covergen.typography.text_block import Block, Paragraph, fitted, stacked

if TYPE_CHECKING:
    from covergen.typography.text_block import Align, Line


Layout: TypeAlias = "Callable[[Words], Iterator[Design]]"

# Shares of the side.
_MARGIN = 0.07
_SMALL = 0.038  # the size of small type
_SMALLEST = 0.03

_ASIDE = re.compile(r"(.*\S)\s*[(\[（【]([^()\[\]（）【】]+)[)\]）】]")
_AFTER = re.compile(r"(.*\S)(?::| [–—-]) +(\S.*)")
_SHORT = 8  # characters
_LONG = 26  # characters: longer titles are set in two sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is set: a title, what explains it, and the artist; the latter two may be "".

    `side` is that of the picture in pixels.
    """

    title: str
    subtitle: str
    artist: str
    side: int

    @classmethod
    def of(cls, title: str, artist: str, side: int) -> Words:
        """Divide a title into its main part and the rest, such as "(Live at Pompeii)"."""
        subtitle = ""
        found = _ASIDE.fullmatch(title) or (_AFTER.fullmatch(title) if len(title) > _LONG else None)
        if found:
            title, subtitle = found.groups()
        return cls(title=title, subtitle=subtitle, artist=artist, side=side)

    @property
    def is_mirrored(self) -> bool:
        """Whether the title is written from right to left."""
        return is_right_to_left(self.title)

    @property
    def align(self) -> Align:
        """The side where lines begin."""
        return "right" if self.is_mirrored else "left"

    @property
    def margin(self) -> float:
        """The margin in pixels."""
        return _MARGIN * self.side

    @property
    def measure(self) -> float:
        """The width between the margins in pixels."""
        return self.side - 2 * self.margin

    @property
    def begin(self) -> float:
        """Where lines begin."""
        return self.side - self.margin if self.is_mirrored else self.margin


@dataclass(frozen=True, slots=True)
class Design:
    """Lines on the picture, or on a plain part.

    `panel` covers the picture from its top or bottom up to a height in pixels; "spine" does so from
    its left, with lines that run upwards; "plate" scales it to leave a margin, and the height below
    it.
    """

    lines: tuple[Line, ...]
    panel: Literal["", "top", "bottom", "spine", "plate"] = ""
    height: float = 0.0


def _headline(words: Words) -> Iterator[Design]:
    """As large as the page allows, with the artist in small type at the other end of the page."""
    side = words.side
    letters = len(list(clusters(words.title)))
    main = fitted(
        Paragraph(
            text=words.title,
            largest=side * (0.52 if letters <= 2 else 0.24),
            smallest=side * 0.05,
            weight=800,
            leading=0.98,
            most_lines=4,
        ),
        width=words.measure,
        height=0.44 * side,
        align=words.align,
    )
    if main.cut or main.size < 0.085 * side:
        return
    parts = [main, *_small_parts(words, words.subtitle, weight=500)]
    title = stacked(parts, 0.042 * side)
    artist = _small_parts(words, words.artist, weight=500)
    low = side - words.margin
    for top in (True, False):
        lines = title.moved(words.begin, words.margin if top else low - title.height).lines
        for block in artist:
            y = low - block.height if top else words.margin
            lines += block.moved(words.begin, y).lines
        yield Design(lines)


def _corner(words: Words) -> Iterator[Design]:
    """Title and artist in two weights of one size, in a corner."""
    side = words.side
    short = len(words.title) <= _SHORT
    block = _two_weights(words, width=0.6 * side, largest=0.1 if short else 0.074, most_height=0.4)
    if block.cut:
        return
    low = side - words.margin - block.height
    ink_width = _width(block)
    far = side - words.margin - ink_width if not words.is_mirrored else words.margin + ink_width
    for x in (words.begin, far):
        for y in (words.margin, low):
            yield Design(block.moved(x, y).lines)


def _centered(words: Words) -> Iterator[Design]:
    """Centered lines of medium weight."""
    side = words.side
    blocks = []
    if words.artist:
        blocks.append(_set(words, words.artist, 0.036, width=0.7, weight=500, align="center"))
    blocks.append(
        fitted(
            Paragraph(
                text=words.title,
                largest=0.1 * side,
                smallest=0.042 * side,
                weight=600,
                leading=1.1,
            ),
            width=0.78 * side,
            height=0.36 * side,
            align="center",
        )
    )
    if words.subtitle:
        blocks.append(_set(words, words.subtitle, 0.036, width=0.7, weight=400, align="center"))
    block = stacked(blocks, 0.05 * side)
    if block.cut:
        return
    for middle in (0.5, 0.3, 0.72):
        y = min(middle * side - block.height / 2, side - words.margin - block.height)
        yield Design(block.moved(side / 2, max(y, words.margin)).lines)


def _line(words: Words) -> Iterator[Design]:
    """Small type along an edge: the title where lines begin, the artist at the other end."""
    side = words.side
    size = _SMALL * side
    text = f"{words.title} {words.subtitle}".strip()
    one = Paragraph(text=text, largest=size, smallest=size, weight=700, most_lines=1)
    room = words.measure * (0.64 if words.artist else 1)
    title = fitted(one, width=room, height=side, align=words.align)
    other: Align = "left" if words.is_mirrored else "right"
    artist = _set(words, words.artist, _SMALL, width=0.26, weight=400, align=other)
    if title.cut or artist.cut or len(artist.lines) > 1:
        return
    for y in (words.margin, side - words.margin - title.height):
        yield Design(
            (*title.moved(words.begin, y).lines, *artist.moved(side - words.begin, y).lines)
        )


def _band(words: Words) -> Iterator[Design]:
    """A plain band across the picture."""
    side = words.side
    block = _two_weights(words, width=words.measure, largest=0.074, most_height=0.4)
    pad = 0.8 * words.margin
    height = block.height + 2 * pad + 0.01 * side
    yield Design(block.moved(words.begin, pad).lines, "top", height)
    yield Design(block.moved(words.begin, side - height + pad).lines, "bottom", height)


def _plate(words: Words) -> Iterator[Design]:
    """The picture within a margin, and the title below it."""
    side = words.side
    block = _two_weights(words, width=words.measure, largest=0.058, most_height=0.3)
    height = block.height + 1.7 * words.margin
    top = side - words.margin - block.height
    yield Design(block.moved(words.begin, top).lines, "plate", height)


def _spine(words: Words) -> Iterator[Design]:
    """A strip along the left side, like the spine of a record."""
    side = words.side
    if words.is_mirrored or not words.title[:1].isalpha() or _is_upright(words.title):
        return
    paragraph = Paragraph(
        text=f"{words.title} {words.subtitle}".strip(),
        largest=0.066 * side,
        smallest=0.044 * side,
        weight=700,
        most_lines=1,
    )
    room = words.measure * (0.66 if words.artist else 1)
    title = fitted(paragraph, width=room, height=side)
    artist = _set(words, words.artist, _SMALL, width=0.27, weight=400, align="right")
    if title.cut or artist.cut or len(artist.lines) > 1:
        return
    height = round(0.13 * side)
    y = (height - title.height) / 2
    lines = title.moved(words.margin, y).lines
    lines += artist.moved(side - words.margin, y + title.height - artist.height).lines
    yield Design(lines, "spine", height)


def _is_upright(text: str) -> bool:
    """Whether a script is never turned, such as Chinese."""
    return any(character >= "\u1100" for character in text if character.isalpha())


OPEN_LAYOUTS: tuple[Layout, ...] = (_headline, _corner, _headline, _centered, _corner, _line)
"""The layouts on the picture; one that stands here twice is chosen twice as often."""

PLAIN_LAYOUTS: tuple[Layout, ...] = (_plate, _band, _spine, _band)
"""The layouts with a plain ground, which fit every picture."""


def _two_weights(words: Words, *, width: float, largest: float, most_height: float) -> Block:
    """Set the title bold, and its rest and the artist in the same size, or nearly, and regular."""
    side = words.side
    title = fitted(
        Paragraph(
            text=words.title,
            largest=largest * side,
            smallest=0.04 * side,
            weight=700,
            leading=1.12,
        ),
        width=width,
        height=most_height * side,
        align=words.align,
    )
    size = max(_SMALLEST, min(title.size / side, 0.05))
    blocks = [title]
    blocks += (
        _set(words, text, size, width=width / side, weight=400, align=words.align)
        for text in (words.subtitle, words.artist)
        if text
    )
    return stacked(blocks, 0.56 * size * side)


def _small_parts(words: Words, text: str, *, weight: int) -> list[Block]:
    if not text:
        return []
    return [_set(words, text, 0.042, width=0.8, weight=weight, align=words.align)]


def _set(words: Words, text: str, size: float, *, width: float, weight: int, align: Align) -> Block:
    """Set small text in up to three lines; `size` and `width` are shares of the side."""
    side = words.side
    return fitted(
        Paragraph(
            text=text,
            largest=size * side,
            smallest=min(size, _SMALLEST) * side,
            weight=weight,
            leading=1.2,
            most_lines=3,
        ),
        width=width * side,
        height=0.16 * side,
        align=align,
    )


def _width(block: Block) -> float:
    return max(line.box[2] for line in block.lines) - min(line.box[0] for line in block.lines)
