"""Pictures to embed."""

import io

from PIL import Image

__all__ = ["picture_bytes"]


def picture_bytes(
    format: str = "png",  # noqa: A002 - the name in Pillow and the command line
    size: int = 32,
    color: tuple[int, int, int] = (200, 40, 90),
) -> bytes:
    """Encode a one-color square of `size` pixels as "png" or "jpeg"."""
    stream = io.BytesIO()
    Image.new("RGB", (size, size), color).save(stream, format.upper())
    return stream.getvalue()
