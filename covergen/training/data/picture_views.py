"""Cover pictures resized, cropped and mirrored for the VAE, in one or several views.

A stretched or center-cropped picture has one view. A randomly cropped picture has a few views,
spread evenly along its longer side, so that each can be encoded once. If the aspect ratio already
fits, there is one view. Mirrored views follow the others.
"""

import io
import struct

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from covergen.core.picture import open_picture
from covergen.training.recipe import Crop

VIEWS = 4
"""The number of views of a randomly cropped picture."""

# What Pillow raises for damaged, oversized or unknown files.
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


def make_views(data: bytes, size: tuple[int, int], crop: Crop, *, flip: bool = False) -> Tensor:
    """Decode an image file to (V, 3, H, W) float32 in [-1, 1]; `size` is (H, W).

    `flip` adds each view mirrored left to right. Raises ValueError if it cannot be read.
    """
    height, width = size
    try:
        with open_picture(io.BytesIO(data)) as image:
            if crop == "stretch":  # like torchvision's Resize, which ignores the orientation
                views = [_as_rgb(image).resize((width, height), Image.Resampling.BILINEAR)]
            else:
                upright = _as_rgb(ImageOps.exif_transpose(image))
                views = [
                    ImageOps.fit(
                        upright,
                        (width, height),
                        Image.Resampling.LANCZOS,
                        centering=(position, position),
                    )
                    for position in _positions(upright, size, crop)
                ]
    except _PICTURE_ERRORS as error:
        raise ValueError(f"its picture cannot be read: {error}") from error
    levels = torch.from_numpy(np.stack([np.asarray(view) for view in views]))
    pixels = levels.permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1
    return torch.cat([pixels, pixels.flip(-1)]) if flip else pixels


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # avoids a warning from Pillow
    return image.convert("RGB")


def _positions(image: Image.Image, size: tuple[int, int], crop: Crop) -> list[float]:
    """The positions of the views along the longer side, from 0 to 1."""
    height, width = size
    if crop == "center" or image.width * height == image.height * width:
        return [0.5]
    return [number / (VIEWS - 1) for number in range(VIEWS)]
