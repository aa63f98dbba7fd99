"""The finishes sharp and smooth: crisp edges and even surfaces.

Both smooth along edges and steepen across them. "sharp" keeps what is small. "smooth" starts from a
reduced picture, in which smoothing along edges reaches further: outlines become smooth curves, and
what is small disappears or becomes thicker.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from covergen.finish.edges import Edges, continued, enlarge

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Lengths are in pixels of the picture at the size that the model paints. Levels are 0..1.
_ENLARGED = 2  # at most; larger pictures are resampled afterwards
_WINDOW = 12  # radius within which surfaces are evened out
_UNEVEN = 0.03  # standard deviation that still counts as an uneven surface, not an edge
_REDUCED = 4  # factor of the picture that surfaces are evened out in
# "sharp", coarse to fine: the reduction, and the slopes between which an edge is treated. The
# coarse pass leaves steep edges alone, around which it would draw outlines.
_PASSES = ((2, 0.008, 0.03), (1, 0.012, math.inf))
_ROUNDS = 2  # per pass
_ALONG = 2.0  # standard deviation of smoothing along edges
_REACH = 2.0  # how far away the color of a side is looked for
_ANTIALIASED = 0.7  # standard deviation of the last smoothing along edges
# "smooth": lengths are in pixels of the small picture, then of each larger one.
_SMALL = 128  # side of the picture that outlines are smoothed in
_OUTLINES = (0.008, math.inf)  # slopes
_OUTLINE_ROUNDS = 2
_OUTLINE_ALONG = (4.0,) * 4  # standard deviations, in a round
_OUTLINE_REACH = 1.0
_OUTLINE_WINDOW = 3


def sharpen(pixels: NDArray[np.uint8], *, size: int) -> NDArray[np.uint8]:
    """Sharpen the edges of a picture and resize it.

    pixels: (H, H, 3) uint8 sRGB. Returns (size, size, 3) uint8 sRGB. Deterministic.
    """
    enlarged = _enlarged(len(pixels), size)
    scale = enlarged / len(pixels)
    picture = _to_tensor(_resize(pixels, enlarged))
    reduced = _reduce(picture, _REDUCED)
    kept, offset = _surfaces(reduced, max(1, round(_WINDOW * scale / _REDUCED)))
    # He & Sun 2015, arXiv 1505.00996: the coefficients of a reduced picture are enough.
    picture = enlarge(kept, picture.shape[-2:]) * picture + enlarge(offset, picture.shape[-2:])
    for reduction, *slopes in _PASSES:
        coarse = _reduce(picture, reduction)
        sharp = coarse
        for _ in range(_ROUNDS):
            edges = Edges(sharp, slopes, scale)
            sharp = edges.steepen(edges.smooth(sharp, _ALONG), _REACH)
        picture = picture + enlarge(sharp - coarse, picture.shape[-2:])
    picture = Edges(picture, _PASSES[-1][1:], scale).smooth(picture, _ANTIALIASED)
    return _resize(_to_pixels(picture), size)


def smooth_outlines(pixels: NDArray[np.uint8], *, size: int) -> NDArray[np.uint8]:
    """Smooth the outlines in a picture, sharpen them and resize it.

    pixels: (H, H, 3) uint8 sRGB. Returns (size, size, 3) uint8 sRGB. Deterministic.
    """
    enlarged = _enlarged(len(pixels), size)
    picture = functional.adaptive_avg_pool2d(_to_tensor(pixels), _SMALL)
    kept, offset = _surfaces(picture, _OUTLINE_WINDOW)
    picture = kept * picture + offset
    for _ in range(_OUTLINE_ROUNDS):
        picture = _redraw(picture, _OUTLINE_ALONG)
    while picture.shape[-1] < enlarged:
        side = min(2 * picture.shape[-1], enlarged)
        picture = _redraw(_enlarge_within(picture, side), (_ALONG,))
    return _resize(_to_pixels(picture), size)


def _enlarged(side: int, size: int) -> int:
    return min(max(size, side), _ENLARGED * side)


def _reduce(picture: Tensor, factor: int) -> Tensor:
    return functional.adaptive_avg_pool2d(picture, max(1, picture.shape[-1] // factor))


def _enlarge_within(picture: Tensor, side: int) -> Tensor:
    """Enlarge by cubic interpolation, within the range of the pixels around: without halos."""
    larger = functional.interpolate(picture, (side, side), mode="bicubic")
    highest, lowest = (
        sign * functional.interpolate(functional.max_pool2d(sign * picture, 3, 1, 1), (side, side))
        for sign in (1, -1)
    )
    return larger.clamp(lowest, highest)


def _redraw(picture: Tensor, along: Sequence[float]) -> Tensor:
    """Smooth along edges with each standard deviation, then steepen the edges."""
    edges = Edges(picture, _OUTLINES)
    for deviation in along:
        picture = edges.smooth(picture, deviation)
    return edges.steepen(picture, _OUTLINE_REACH)


def _surfaces(picture: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Return the factor and the offset that even out surfaces, (1, 1, H, W) and (1, 3, H, W).

    A guided filter (He, Sun & Tang 2013) of each channel, guided by all: an edge in one protects
    the others.
    """
    extended = continued(picture, radius)
    mean = _box(extended, radius)
    variance = (_box(extended**2, radius) - mean**2).clamp(min=0).sum(1, keepdim=True)
    kept = variance / (variance + _UNEVEN**2)
    offset = continued((1 - kept) * mean, radius)
    return _box(continued(kept, radius), radius), _box(offset, radius)


def _box(extended: Tensor, radius: int) -> Tensor:
    """Return the mean of the square of `radius` around each pixel within the margin."""
    return functional.avg_pool2d(extended, 2 * radius + 1, stride=1)


def _to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float().div(255)


def _to_pixels(picture: Tensor) -> NDArray[np.uint8]:
    levels = picture[0].permute(1, 2, 0).clamp(0, 1).mul(255).round()
    return levels.to(torch.uint8).numpy()


def _resize(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if len(pixels) == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.LANCZOS))
