"""Cover pictures as the VAE takes them: of one size, and in one or several views.

A picture that is stretched or cut at its centre has one view; one that is cropped at random has a
few, evenly along its longer side, so that all of them can be encoded once. A square one always has
one.
"""

import io
import struct

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from covergen.core.picture import open_picture
from covergen.training.recipe import Crop

__all__ = ["VIEWS", "make_views"]

VIEWS = 4
"""Of a picture that is cropped at random, and is no square."""

# What Pillow raises for pictures that are damaged, too large, or none.
_PICTURE_ERRORS = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)


def make_views(data: bytes, size: tuple[int, int], crop: Crop) -> Tensor:
    """Decode an image file: (V, 3, H, W) float32 in -1..1, for `size` (H, W).

    Raises ValueError where it is no image that can be read.
    """
    height, width = size
    try:
        with open_picture(io.BytesIO(data)) as image:
            if crop == "stretch":  # as torchvision's Resize does, which knows of no orientation
                views = [_as_rgb(image).resize((width, height), Image.Resampling.BILINEAR)]
            else:
                upright = _as_rgb(ImageOps.exif_transpose(image))
                views = [
                    ImageOps.fit(
                        upright,
                        (width, height),
                        Image.Resampling.LANCZOS,
                        centering=(place, place),
                    )
                    for place in _places(upright, size, crop)
                ]
    except _PICTURE_ERRORS as error:
        raise ValueError(f"its picture cannot be read: {error}") from error
    levels = torch.from_numpy(np.stack([np.asarray(view) for view in views]))
    return levels.permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # else Pillow warns
    return image.convert("RGB")


def _places(image: Image.Image, size: tuple[int, int], crop: Crop) -> list[float]:
    """Where the views lie along the side that is too long, from its start to its end."""
    height, width = size
    if crop == "center" or image.width * height == image.height * width:
        return [0.5]
    return [number / (VIEWS - 1) for number in range(VIEWS)]
