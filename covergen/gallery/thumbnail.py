"""Thumbnails for the preview page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from covergen.core.files import replacing
from covergen.gallery.pictures import fitted

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["save_thumbnail"]


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
