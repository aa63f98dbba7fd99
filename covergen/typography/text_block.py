"""Blocks of text: fitted to a width and height, with optical margins."""

# ruff: noqa: RUF001 - quotation marks and brackets of many languages

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Literal

from covergen.gallery.fonts import font_folders, read_face, read_faces
from covergen.gallery.lettering import Lettering
from covergen.typography.line_breaking import balanced, filled, units

Align = Literal["left", "center", "right"]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""

_FONT = Path(__file__).parent / "fonts" / "Inter.ttf"
_REFERENCE = 100  # pixels per em at which lines are measured
_CAPITALS = 0.727  # of an em: the height of Inter's capitals
_CLEAR = 0.06  # of an em: the least space between lines
_WORTH = 1.12  # how much larger text must get for another line
_SHRINK = 0.7  # of the smallest size, for words that are wider than a line
_CACHED = 4096  # texts
_HANGING = "“”‘’\"'«»„‚‹›"
_HANGING_END = "“”‘’\"'«»‹›.,-–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Text and how it may be set; sizes are in pixels per em, `leading` in ems."""

    text: str
    largest: float
    smallest: float
    weight: int = 400
    leading: float = 1.1
    most_lines: int = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of text with the left end of its baseline. `box` is what it covers."""

    text: str
    size: int
    weight: int
    x: float
    y: float
    box: Box

    def moved(self, x: float, y: float) -> Line:
        """Return the line, moved to the right and down."""
        left, top, right, bottom = self.box
        box = (left + x, top + y, right + x, bottom + y)
        return replace(self, x=self.x + x, y=self.y + y, box=box)


@dataclass(frozen=True, slots=True)
class Block:
    """Lines below each other. The top is that of the capitals, the bottom is the last baseline.

    `cut`: the text is cut off, or a word is divided.
    """

    lines: tuple[Line, ...]
    height: float
    cut: bool = False

    @property
    def size(self) -> int:
        """The size of the largest line."""
        return max(line.size for line in self.lines)

    def moved(self, x: float, y: float) -> Block:
        """Return the block, moved to the right and down."""
        return replace(self, lines=tuple(line.moved(x, y) for line in self.lines))


@lru_cache(1)
def lettering() -> Lettering:
    """The lettering of titles: in the font that comes with covergen, then in those installed."""
    own = read_face(_FONT)
    return Lettering(chain([own] if own else [], read_faces(font_folders())))


def fitted(paragraph: Paragraph, *, width: float, height: float, align: Align = "left") -> Block:
    """Set a paragraph as large as it fits, in as few lines as reasonable.

    Text that does not fit at the smallest size ends in an ellipsis. The block's left end, or
    middle, or right end, is at x = 0, its top at y = 0.
    """
    pieces = units(paragraph.text)
    widest = max((_width(unit.text, paragraph.weight) for unit in pieces), default=0.0)
    if not widest:  # nothing is visible
        return Block((), 0.0)
    best: tuple[float, list[str]] = (0.0, [])
    for count in range(1, min(paragraph.most_lines, len(pieces)) + 1):
        lines = balanced(pieces, count, lambda text: _width(text, paragraph.weight))
        size = _size(lines, paragraph, width, height)
        if size > best[0] * (_WORTH if best[1] else 1):
            best = size, lines
    size, lines = best
    smallest = max(
        _SHRINK * paragraph.smallest, min(paragraph.smallest, width * _REFERENCE / widest)
    )
    if size < smallest:
        size = smallest
        most = max(1, int((height / size - _CAPITALS) / paragraph.leading + 1))
        lines = filled(
            pieces,
            min(most, paragraph.most_lines),
            width * _REFERENCE / size,
            lambda text: _width(text, paragraph.weight),
        )
    cut = lines[-1].endswith("…") or len(lines) > len(pieces)
    block = _set(lines, max(1, round(size)), paragraph, align)
    return replace(block, cut=cut)


def stacked(blocks: Iterable[Block], gap: float) -> Block:
    """Put blocks below each other, with `gap` from a baseline to the next capitals."""
    blocks = list(blocks)
    lines: list[Line] = []
    height = 0.0
    for block in blocks:
        top = height + gap if lines else 0.0
        lines += block.moved(0, top).lines
        height = top + block.height
    return Block(tuple(lines), height, any(block.cut for block in blocks))


@lru_cache(_CACHED)
def _width(text: str, weight: int) -> float:
    return lettering().width(text, _REFERENCE, weight) if text.strip() else 0.28 * _REFERENCE


@lru_cache(_CACHED)
def _bounds(text: str, size: int, weight: int) -> Box:
    return lettering().bounds(text, size, weight)


def _size(lines: Sequence[str], paragraph: Paragraph, width: float, height: float) -> float:
    """Return the largest size at which the lines fit."""
    widest = max(_width(line, paragraph.weight) for line in lines)
    ems = _CAPITALS + _leading(lines, paragraph) * (len(lines) - 1)
    return min(paragraph.largest, width * _REFERENCE / widest, height / ems)


def _leading(lines: Sequence[str], paragraph: Paragraph) -> float:
    """Return the distance of the baselines in ems: more where letters would touch."""
    bounds = [_bounds(line, _REFERENCE, paragraph.weight) for line in lines]
    needed = [(above[3] - below[1]) / _REFERENCE + _CLEAR for above, below in pairwise(bounds)]
    return max(paragraph.leading, *needed, 0.0)


def _set(lines: Sequence[str], size: int, paragraph: Paragraph, align: Align) -> Block:
    step = _leading(lines, paragraph) * size
    first = _bounds(lines[0], size, paragraph.weight)
    # Accents may rise above the margin, other scripts may not.
    top = _CAPITALS * size if -first[1] < size else -first[1]
    placed = []
    for number, text in enumerate(lines):
        left, above, right, below = _bounds(text, size, paragraph.weight)
        x = _offset(text, left, right, size, paragraph.weight, align)
        y = top + number * step
        placed.append(
            Line(
                text=text,
                size=size,
                weight=paragraph.weight,
                x=x,
                y=y,
                box=(x + left, y + above, x + right, y + below),
            )
        )
    return Block(tuple(placed), top + (len(lines) - 1) * step)


def _offset(text: str, left: float, right: float, size: int, weight: int, align: Align) -> float:
    """Return where a line starts, so that its ink is at the margin and its quotes hang out."""
    if align == "center":
        return -(left + right) / 2
    if align == "left":
        hanging = text[: len(text) - len(text.lstrip(_HANGING))]
        return -left - (lettering().width(hanging, size, weight) if hanging != text else 0)
    hanging = text[len(text.rstrip(_HANGING_END)) :]
    return -right + (lettering().width(hanging, size, weight) if hanging != text else 0)
