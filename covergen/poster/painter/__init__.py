"""The procedural painter: draws album covers from music attributes with numpy and Pillow."""

from covergen.poster.painter.caption import VOCABULARY
from covergen.poster.painter.painting import FAMILIES, Painting, paint

__all__ = ["FAMILIES", "VOCABULARY", "Painting", "paint"]
