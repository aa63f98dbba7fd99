"""The procedural painter: draws album covers from music attributes with numpy and Pillow."""

from covergen.starter.painter.caption import VOCABULARY
from covergen.starter.painter.painting import FAMILIES, Painting, paint

__all__ = ["FAMILIES", "VOCABULARY", "Painting", "paint"]
