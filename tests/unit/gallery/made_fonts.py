"""Fonts whose glyphs are rectangles, so that pixels show which font drew a character."""

import io
from collections.abc import Mapping
from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import newTable
from fontTools.ttLib.tables.sbixGlyph import Glyph
from fontTools.ttLib.tables.sbixStrike import Strike
from PIL import Image

__all__ = ["make_bitmap_font", "make_font", "make_layered_font"]

_EM = 1000


def make_font(path: Path, heights: Mapping[str, int]) -> Path:
    """Make glyphs 300 wide with the given heights, in units of 1/1000 em; .notdef is 900 × 900."""
    _builder(heights).save(path)
    return path


def make_layered_font(path: Path, character: str, rgb: tuple[float, float, float]) -> Path:
    """Make a font with one colored glyph (COLR)."""
    builder = _builder({character: 700})
    builder.setupCOLR({"glyph0": [("glyph0", 0)]}, version=0)
    builder.setupCPAL([[(*rgb, 1.0)]])
    builder.save(path)
    return path


def make_bitmap_font(path: Path, character: str, rgb: tuple[int, int, int]) -> Path:
    """Make a bitmap font (sbix) with one glyph of 64 pixels."""
    builder = _builder({character: 700})
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), rgb).save(stream, "PNG")
    strike = Strike(ppem=64, resolution=72)
    strike.glyphs["glyph0"] = Glyph(
        glyphName="glyph0", graphicType="png ", imageData=stream.getvalue()
    )
    builder.font["sbix"] = table = newTable("sbix")
    table.version, table.flags, table.strikes = 1, 1, {64: strike}
    builder.save(path)
    return path


def _builder(heights: Mapping[str, int]) -> FontBuilder:
    names = [".notdef", "space", *(f"glyph{number}" for number in range(len(heights)))]
    boxes = [(900, 900), (300, 0), *((300, height) for height in heights.values())]
    builder = FontBuilder(_EM, isTTF=True)
    builder.setupGlyphOrder(names)
    characters = {ord(character): name for character, name in zip(heights, names[2:], strict=True)}
    builder.setupCharacterMap({0x20: "space"} | characters)
    builder.setupGlyf({name: _rectangle(*box) for name, box in zip(names, boxes, strict=True)})
    builder.setupHorizontalMetrics(
        {name: (width + 100, 0) for name, (width, _) in zip(names, boxes, strict=True)}
    )
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Made", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=900)
    builder.setupPost()
    return builder


def _rectangle(width: int, height: int) -> object:
    pen = TTGlyphPen(None)
    if height:
        pen.moveTo((0, 0))
        for corner in ((0, height), (width, height), (width, 0)):
            pen.lineTo(corner)
        pen.closePath()
    return pen.glyph()
