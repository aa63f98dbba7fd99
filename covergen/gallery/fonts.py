"""The installed fonts, regular ones first, and the characters in each."""

import os
import struct
import sys
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fontTools.ttLib import TTFont, TTLibError
from PIL import Image, ImageDraw, ImageFont

_MAX_FONTS = 400  # searching thousands of fonts for a missing character would take minutes
_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
_PREFERRED = (
    "notosans-regular",
    "notosans[",
    "dejavusans.",
    "segoeui.",
    "sfns.",
    "helvetica",
    "liberationsans-regular",
    "arial.",
    "notocoloremoji",
    "seguiemj",
    "apple color emoji",
    "notosanscjk-regular",
    "notosans",
)
_STYLED = ("bold", "italic", "oblique", "condensed", "light", "thin", "black", "mono", "serif")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Face:
    """A font to draw with; `file` is None for Pillow's built-in font.

    `characters` contains code points. `colored`: the glyphs are pictures, such as emoji. `strike`
    is the size in pixels of a bitmap font, which cannot be scaled.
    """

    file: Path | None
    characters: Container[int]
    colored: bool = False
    strike: int | None = None

    def has(self, text: str) -> bool:
        """Whether the font has every visible character of `text`."""
        return all(ord(c) in self.characters or _is_invisible(c) for c in text)

    def width(self, text: str, size: int, weight: int | None = None) -> float:
        """Return the width of `text` in pixels at `size` pixels per em."""
        drawn = self.strike or size
        return _load(self.file, drawn, weight).getlength(text) * size / drawn

    def bounds(
        self, text: str, size: int, weight: int | None = None
    ) -> tuple[float, float, float, float]:
        """Return the left, top, right and bottom of what is drawn, from the left baseline's end."""
        drawn = self.strike or size
        font, scale = _load(self.file, drawn, weight), size / drawn
        if isinstance(font, ImageFont.ImageFont):  # Pillow's font without FreeType
            return font.getbbox(text)
        # Not getbbox(), which includes the space around the letters.
        mask, (x, y) = font.getmask2(text, anchor="ls")
        left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
        return (x + left) * scale, (y + top) * scale, (x + right) * scale, (y + bottom) * scale

    def draw(
        self,
        image: Image.Image,
        position: tuple[int, int],
        text: str,
        size: int,
        color: str,
        weight: int | None = None,
    ) -> None:
        """Draw `text` with the left end of its baseline at `position`.

        `weight` (400 is regular, 700 bold) applies to variable fonts.
        """
        if self.strike:
            self._draw_scaled(image, position, text, size / self.strike)
            return
        ImageDraw.Draw(image).text(
            position, text, color, _load(self.file, size, weight), "ls", embedded_color=self.colored
        )

    def _draw_scaled(
        self, image: Image.Image, position: tuple[int, int], text: str, scale: float
    ) -> None:
        font = _load(self.file, self.strike or 0)
        left, top, right, bottom = (round(edge) for edge in font.getbbox(text, anchor="ls"))
        large = Image.new("RGBA", (max(1, right - left), max(1, bottom - top)))
        ImageDraw.Draw(large).text((-left, -top), text, font=font, anchor="ls", embedded_color=True)
        extent = (max(1, round(large.width * scale)), max(1, round(large.height * scale)))
        small = large.resize(extent, Image.Resampling.LANCZOS)
        image.paste(
            small, (position[0] + round(left * scale), position[1] + round(top * scale)), small
        )


BUILT_IN = Face(file=None, characters=frozenset([*range(0x20, 0x7F), ord("…")]))


def font_folders() -> list[Path]:
    """Return the font folders of the system and the user."""
    try:
        home = Path.home()
    except RuntimeError:  # an unknown user, as in some containers
        home = Path("/nonexistent")
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
        windows = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"))
        return [windows / "Fonts", local / "Microsoft" / "Windows" / "Fonts"]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"]
    user = os.environ.get("XDG_DATA_HOME") or home / ".local" / "share"
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    return [Path(data) / "fonts" for data in (user, *shared.split(":"))] + [home / ".fonts"]


def read_faces(folders: Iterable[Path]) -> Iterator[Face]:
    """Yield the fonts in the folders and their subfolders, regular ones first.

    Fonts are read lazily; those that cannot be read are skipped.
    """
    files = {
        file for folder in folders for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES
    }
    for file in sorted(files, key=_rank)[:_MAX_FONTS]:
        face = read_face(file)
        if face is not None:
            yield face


def _rank(file: Path) -> tuple[int, bool, str]:
    name = file.name.lower()
    ranks = (rank for rank, prefix in enumerate(_PREFERRED) if name.startswith(prefix))
    styled = any(style in name for style in _STYLED)
    return (len(_PREFERRED) if styled else next(ranks, len(_PREFERRED)), styled, name)


def read_face(file: Path) -> Face | None:
    """Read a font, or return None if Pillow cannot draw with it."""
    try:
        with file.open("rb") as stream, TTFont(stream, fontNumber=0, lazy=True) as font:
            characters = font.getBestCmap()
            colored = any(table in font for table in ("CBDT", "sbix", "COLR"))
            # COLR version 1 uses gradients, which Pillow cannot draw.
            drawable = "COLR" not in font or font["COLR"].version == 0
            strike = _strike(font)
        if not characters or not drawable:
            return None
        _load(file, strike or 16)
    except (TTLibError, OSError, ValueError, LookupError, AssertionError, struct.error):
        return None
    return Face(file=file, characters=characters.keys(), colored=colored, strike=strike)


def _strike(font: TTFont) -> int | None:
    """Return the largest bitmap size of a bitmap font, or None for a scalable font."""
    if "CBLC" in font:
        return max(int(strike.bitmapSizeTable.ppemY) for strike in font["CBLC"].strikes)
    if "sbix" in font:
        return max(int(size) for size in font["sbix"].strikes)
    return None


@lru_cache(maxsize=256)  # titles are tried in many sizes
def _load(
    file: Path | None, size: int, weight: int | None = None
) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Load a font at a size in pixels, and a variable font at a weight. Raises OSError."""
    if file is None:
        return ImageFont.load_default(size)
    font = ImageFont.truetype(file, size)
    with suppress(OSError, ValueError):  # not a variable font, or one without "Regular"
        if weight is None:
            font.set_variation_by_name("Regular")  # the default of some variable fonts is "Thin"
        else:
            font.set_variation_by_axes([_value(axis, weight) for axis in font.get_variation_axes()])
    return font


def _value(axis: Mapping[str, Any], weight: int) -> float:
    """Return the value of a variation axis: the default, unless it is the weight."""
    if axis["name"] not in (b"Weight", "Weight"):
        return float(axis["default"])
    return float(min(max(weight, axis["minimum"]), axis["maximum"]))


def _is_invisible(character: str) -> bool:
    """Whether it is a zero-width joiner or non-joiner, or a variation selector for emoji."""
    return character in "\u200c\u200d\ufe0e\ufe0f"
