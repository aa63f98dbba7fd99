"""Recognize and decode pictures, and translate Pillow's exceptions."""

import io
from pathlib import Path
from typing import BinaryIO

from covergen.core.picture import open_picture

EXTENSIONS = frozenset({
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm",
})  # fmt: skip
"""The usual extensions of pictures; the content decides."""


def is_picture(path: Path) -> bool:
    """Whether a file has the header of a picture. Raises OSError if it cannot be opened."""
    with path.open("rb") as file:
        try:
            _size(file, decode=False)
        except ValueError:
            return False
        return True


def decode_picture(data: bytes) -> tuple[int, int]:
    """Decode an encoded picture and return its width and height in pixels. Raises ValueError."""
    return _size(io.BytesIO(data), decode=True)


def _size(file: BinaryIO, *, decode: bool) -> tuple[int, int]:
    try:
        with open_picture(file) as image:
            if decode:
                image.load()
            return image.size
    except (EOFError, MemoryError, OSError, RuntimeError, SyntaxError, ValueError) as error:
        raise ValueError(f"not a readable picture: {error}") from error
