"""Small pictures for the page, which could not show thousands of large ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from covergen.gallery.pictures import fitted, replacing

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["save_thumbnail"]


def save_thumbnail(
    picture: Path | bytes | NDArray[np.uint8], path: Path, *, side: int = 320
) -> None:
    """Write `picture` as a JPEG with a longer side of `side` pixels, whole or not at all.

    `picture` is an image file, an encoded image, or (H, W, 3) uint8 sRGB. Raises ValueError where
    it is no image that Pillow reads, and OSError.
    """
    small = fitted(picture, side)
    with replacing(path) as draft:
        small.save(draft, "JPEG", quality=82, optimize=True, progressive=True)
