"""The procedural painter: draws album covers from music attributes with numpy and Pillow."""

from covergen.poster.painter.caption import COMPOSITIONS, VOCABULARY
from covergen.poster.painter.painting import FAMILIES, Painting, paint
from covergen.poster.painter.style import parse_style

__all__ = ["COMPOSITIONS", "FAMILIES", "VOCABULARY", "Painting", "paint", "parse_style"]
