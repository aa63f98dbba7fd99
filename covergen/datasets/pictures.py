"""Is this a picture, and is it whole? Whatever Pillow raises becomes an answer here."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from covergen.core.picture import open_picture

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EXTENSIONS", "decode_picture", "is_picture"]

EXTENSIONS = frozenset({
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm",
})  # fmt: skip
"""What pictures usually go by. What counts is the content."""


def is_picture(path: Path) -> bool:
    """Whether a file begins as a picture does. Raises OSError where it cannot be opened."""
    with path.open("rb") as file:
        try:
            _size(file, whole=False)
        except ValueError:
            return False
        return True


def decode_picture(data: bytes) -> tuple[int, int]:
    """Decode an encoded picture; returns its width and height in pixels. Raises ValueError."""
    return _size(io.BytesIO(data), whole=True)


def _size(file: BinaryIO, *, whole: bool) -> tuple[int, int]:
    try:
        with open_picture(file) as image:
            if whole:
                image.load()
            return image.size
    except (EOFError, MemoryError, OSError, RuntimeError, SyntaxError, ValueError) as error:
        raise ValueError(f"not a readable picture: {error}") from error
