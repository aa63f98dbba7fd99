"""Scale pictures, and write them as thumbnails."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from covergen.core.atomic_write import replacing
from covergen.core.picture import open_picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def fitted(picture: Path | bytes | NDArray[np.uint8], side: int) -> Image.Image:
    """Scale a picture to `side` pixels on its longer side, as RGB with transparency on black.

    `picture` is an image file, an encoded image, or (H, W, 3) uint8 sRGB. Raises ValueError if it
    cannot be read.
    """
    try:
        with _opened(picture) as image:
            image.draft("RGB", (2 * side, 2 * side))  # decodes a JPEG at reduced size
            layer = image.convert("RGBA")
    except (OSError, RuntimeError, SyntaxError, ValueError) as error:
        raise ValueError(f"not a readable image: {error}") from error
    flat = Image.new("RGB", layer.size)
    flat.paste(layer, mask=layer)
    scale = side / max(flat.size)
    width, height = (max(1, round(length * scale)) for length in flat.size)
    return flat.resize((width, height), Image.Resampling.LANCZOS)


def save_thumbnail(
    picture: Path | bytes | NDArray[np.uint8], path: Path, *, side: int = 320
) -> None:
    """Write `picture` atomically as a JPEG with a longer side of `side` pixels.

    `picture` is an image file, an encoded image, or (H, W, 3) uint8 sRGB. Raises ValueError if it
    cannot be read, and OSError.
    """
    small = fitted(picture, side)
    with replacing(path) as draft:
        small.save(draft, "JPEG", quality=82, optimize=True, progressive=True)


def _opened(picture: Path | bytes | NDArray[np.uint8]) -> Image.Image:
    if isinstance(picture, Path):
        return open_picture(picture)
    if isinstance(picture, bytes):
        return open_picture(io.BytesIO(picture))
    return Image.fromarray(picture)
