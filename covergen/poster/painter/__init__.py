"""The procedural painter: album covers from the attributes of music, numpy and Pillow only."""

from covergen.poster.painter.caption import VOCABULARY
from covergen.poster.painter.painting import FAMILIES, Painting, paint

__all__ = ["FAMILIES", "VOCABULARY", "Painting", "paint"]
