"""The procedural painter: album covers from the attributes of music, numpy and Pillow only."""

from covergen.starter.painter.caption import VOCABULARY
from covergen.starter.painter.painting import FAMILIES, Painting, paint

__all__ = ["FAMILIES", "VOCABULARY", "Painting", "paint"]
