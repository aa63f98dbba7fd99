"""Contact sheets of captioned pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from covergen.core.atomic_write import replacing
from covergen.gallery.lettering import Lettering
from covergen.gallery.thumbnail import fitted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_MAX_PIXELS = 24_000_000  # per sheet: 72 MB as RGB, and still easy to open in viewers
_BACKGROUND, _FRAME, _BRIGHT, _DIM = "#131417", "#212328", "#ededf0", "#9a9ca5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A picture with up to two lines of text below it.

    `picture` is an image file, an encoded image, or (H, W, 3) uint8 sRGB; None or an unreadable
    picture leaves an empty frame.
    """

    picture: Path | bytes | NDArray[np.uint8] | None
    caption: str = ""
    detail: str = ""


def save_sheet(
    tiles: Iterable[Tile],
    path: Path,
    *,
    columns: int | None = None,
    side: int = 256,
    title: str = "",
) -> tuple[Path, ...]:
    """Draw the tiles, `side` pixels each, into the PNG `path`, and return the files written.

    If one sheet is not enough, more are written next to it: NAME-2.png, NAME-3.png and so on. At
    most one sheet of tiles is in memory at a time. Raises OSError.
    """
    remaining = iter(tiles)
    first = list(islice(remaining, _MAX_PIXELS // (2 * side * side) + 1))
    layout = _lay_out(first, columns, side, title)
    remaining = chain(first, remaining)
    lettering = Lettering()
    written: list[Path] = []
    while (batch := list(islice(remaining, layout.capacity))) or not written:
        number = f"-{len(written) + 1}" if written else ""
        page = path.with_stem(path.stem + number)
        with replacing(page) as draft:
            _draw(batch, layout, lettering, title + number.replace("-", " ")).save(draft, "PNG")
        written.append(page)
    return tuple(written)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """The layout of a sheet, in pixels; `title`, `caption` and `detail` are 0 if there are none."""

    columns: int
    side: int
    title: int
    caption: int
    detail: int

    @property
    def gap(self) -> int:
        """The space between tiles; the margin is twice as wide."""
        return max(6, self.side // 12)

    @property
    def step(self) -> tuple[int, int]:
        """The distance from one tile to the next, horizontally and vertically."""
        lines = (8 * self.caption + 7 * self.detail) // 5
        return self.side + self.gap, self.side + self.gap + lines

    @property
    def top(self) -> int:
        """The top of the first row."""
        return 2 * self.gap + 2 * self.title

    @property
    def capacity(self) -> int:
        """The number of tiles that fit on a sheet, in full rows."""
        across, down = self.step
        return max(1, _MAX_PIXELS // (across * down * self.columns)) * self.columns

    def size(self, count: int) -> tuple[int, int]:
        """Return the width and height of a sheet with `count` tiles."""
        across, down = self.step
        rows = math.ceil(count / self.columns)
        return self.columns * across + 3 * self.gap, self.top + rows * down + self.gap


def _lay_out(tiles: Sequence[Tile], columns: int | None, side: int, title: str) -> _Layout:
    """Choose the layout from the first tiles: nearly square, unless `columns` is given."""
    wanted = columns or (len(tiles) if len(tiles) < 5 else math.ceil(math.sqrt(1.3 * len(tiles))))
    return _Layout(
        columns=max(1, min(wanted, _MAX_PIXELS // (2 * side * side) + 1)),
        side=side,
        title=max(16, side // 8) if title else 0,
        caption=max(11, side // 15) if any(tile.caption for tile in tiles) else 0,
        detail=max(10, side // 18) if any(tile.detail for tile in tiles) else 0,
    )


def _draw(tiles: Sequence[Tile], layout: _Layout, lettering: Lettering, title: str) -> Image.Image:
    sheet = Image.new("RGB", layout.size(len(tiles)), _BACKGROUND)
    left, mask = 2 * layout.gap, _rounded(layout.side)
    if layout.title:
        lettering.draw(
            sheet,
            (left, layout.top - layout.title),
            title,
            size=layout.title,
            width=sheet.width - 2 * left,
            color=_BRIGHT,
        )
    across, down = layout.step
    for index, tile in enumerate(tiles):
        row, column = divmod(index, layout.columns)
        corner = (left + column * across, layout.top + row * down)
        sheet.paste(_framed(tile, layout.side), corner, mask)
        _write_lines(sheet, corner, tile, layout, lettering)
    return sheet


def _write_lines(
    sheet: Image.Image,
    corner: tuple[int, int],
    tile: Tile,
    layout: _Layout,
    lettering: Lettering,
) -> None:
    x, baseline = corner[0], corner[1] + layout.side
    for text, size, color in (
        (tile.caption, layout.caption, _BRIGHT),
        (tile.detail, layout.detail, _DIM),
    ):
        if size:
            baseline += 3 * size // 2
            lettering.draw(sheet, (x, baseline), text, size=size, width=layout.side, color=color)


def _framed(tile: Tile, side: int) -> Image.Image:
    """Center the tile's picture in a square."""
    frame = Image.new("RGB", (side, side), _FRAME)
    if tile.picture is not None:
        try:
            picture = fitted(tile.picture, side)
        except ValueError:
            return frame
        frame.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return frame


def _rounded(side: int) -> Image.Image:
    """Return the mask of a square with rounded corners."""
    oversized = Image.new("L", (4 * side, 4 * side))
    ImageDraw.Draw(oversized).rounded_rectangle((0, 0, *oversized.size), side // 10, fill=255)
    return oversized.resize((side, side), Image.Resampling.BOX)
