"""The sharp finish: edges become crisp, surfaces clean, colours stay.

A guided filter (He, Sun & Tang 2013) evens out surfaces. A coherence-enhancing shock filter
(Weickert 2003; Kyprianidis & Kang 2011) then smooths along edges and steepens across them: next to
an edge, each pixel takes the colour of the side that it is on.
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

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Lengths are in pixels of the picture at the size that the model paints, in the coarse pass of the
# reduced picture. Levels are 0..1.
_ENLARGED = 2  # at most; larger pictures are resampled afterwards
_WINDOW = 12  # radius within which surfaces are evened out
_UNEVEN = 0.03  # standard deviation that still counts as an uneven surface, not an edge
_REDUCED = 4  # the guided filter works on a picture reduced by this factor
# Coarse to fine: the reduction, and the slopes between which an edge is treated. The coarse pass
# leaves steep edges alone, around which it would draw outlines.
_PASSES = ((2, 0.008, 0.03), (1, 0.012, math.inf))
_ROUNDS = 2  # per pass
_EDGE_SCALE = 2.0  # of the neighbourhood that has one direction
_ALONG = 2.0  # standard deviation of smoothing along edges
_ACROSS = 1.5  # standard deviation of the smoothing before curvature is measured
_CURVED = 0.002  # curvature at which a pixel is on one side of an edge
_REACH = 2.0  # how far away the colour of a side is looked for
_ANTIALIASED = 0.7  # standard deviation of the last smoothing along edges


def sharpen(pixels: NDArray[np.uint8], *, size: int) -> NDArray[np.uint8]:
    """Sharpen the edges of a picture and resize it.

    pixels: (H, H, 3) uint8 sRGB. Returns (size, size, 3) uint8 sRGB. Deterministic.
    """
    side = len(pixels)
    enlarged = min(max(size, side), _ENLARGED * side)
    scale = enlarged / side
    picture = _even_surfaces(_to_tensor(_resize(pixels, enlarged)), scale)
    for reduced, *slopes in _PASSES:
        coarse = functional.adaptive_avg_pool2d(picture, enlarged // reduced)
        picture = picture + _enlarge(_sharpen(coarse, slopes, scale) - coarse, picture.shape[-2:])
    picture = _Edges(picture, _PASSES[-1][1:], scale).smooth(picture, _ANTIALIASED)
    return _resize(_to_pixels(picture), size)


def _sharpen(picture: Tensor, slopes: Sequence[float], scale: float) -> Tensor:
    for _ in range(_ROUNDS):
        edges = _Edges(picture, slopes, scale)
        picture = edges.steepen(edges.smooth(picture, _ALONG))
    return picture


class _Edges:
    """The edges of a picture: the pixels on them, each with a unit normal and a strength of 0..1.

    Values are computed for these pixels only, a small part of most pictures: (1, 1, N), colours (1,
    3, N).
    """

    def __init__(self, picture: Tensor, slopes: Sequence[float], scale: float) -> None:
        self._scale = scale
        height, width = picture.shape[-2:]
        down, across = _slopes(functional.avg_pool2d(picture, 2))
        products = torch.cat(
            [(t * scale**2 / 4).sum(1, keepdim=True) for t in (across**2, across * down, down**2)],
            dim=1,
        )  # the structure tensor, which is smooth enough to be computed at half the size
        products = _enlarge(_blur(products, _EDGE_SCALE * scale / 2), (height, width))
        xx, xy, yy = torch.split(products, 1, dim=1)
        difference = torch.sqrt((xx - yy) ** 2 + 4 * xy**2)
        slope = torch.sqrt((xx + yy + difference) / 2)
        coherence = difference / (xx + yy + 1e-12)
        least, most = slopes
        treated = (slope / least - 1).clamp(0, 1) * (2 - slope / most).clamp(0, 1)
        strength = treated * coherence
        self._pixels = strength.flatten().nonzero()[:, 0]
        self._strength = self._at(strength)
        angle = torch.atan2(self._at(2 * xy), self._at(xx - yy)) / 2
        self._normal = torch.cos(angle), torch.sin(angle)
        rows, columns = self._pixels // width, self._pixels % width
        self._places = (2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1

    def smooth(self, picture: Tensor, deviation: float) -> Tensor:
        """Smooth along edges by a Gaussian."""
        colours = self._at(picture)
        total, weights = colours.clone(), 1.0
        x, y = self._normal
        for step in range(1, math.ceil(2 * deviation) + 1):
            weight = math.exp(-(step**2) / (2 * deviation**2))
            for length in (step, -step):
                total.add_(self._sample(picture, -length * y, length * x), alpha=weight)
            weights += 2 * weight
        return self._changed(picture, torch.lerp(colours, total / weights, self._strength))

    def steepen(self, picture: Tensor) -> Tensor:
        """Replace pixels next to edges by the darkest or lightest of the side they are on."""
        x, y = self._normal
        light = picture.mean(1, keepdim=True)
        down, across = _slopes(_blur(light, _ACROSS * self._scale))
        twisted, bent_across = (self._at(slope) for slope in _slopes(across))
        bent_down = self._at(_slopes(down)[0])
        curvature = x**2 * bent_across + 2 * x * y * twisted + y**2 * bent_down
        curvature *= (_ACROSS * self._scale) ** 2
        side = -torch.sign(curvature)  # 1 on the light side
        colours = found = self._at(picture)
        extreme = side * self._at(light)
        for length in (_REACH, -_REACH, _REACH / 2, -_REACH / 2):
            near = self._sample(picture, length * x, length * y)
            level = side * near.mean(1, keepdim=True)
            found = torch.where(level > extreme, near, found)
            extreme = torch.maximum(extreme, level)
        share = (curvature.abs() / _CURVED - 1).clamp(0, 1) * self._strength
        return self._changed(picture, torch.lerp(colours, found, share))

    def _at(self, values: Tensor) -> Tensor:
        """Select the pixels on edges: (1, C, N) of (1, C, H, W)."""
        return values.flatten(2).index_select(2, self._pixels)

    def _changed(self, picture: Tensor, colours: Tensor) -> Tensor:
        return picture.flatten(2).index_copy(2, self._pixels, colours).view_as(picture)

    def _sample(self, picture: Tensor, right: Tensor, down: Tensor) -> Tensor:
        """Return the colours at an offset from each pixel, a length like the constants above."""
        height, width = picture.shape[-2:]
        columns, rows = self._places
        x = columns + right * (2 * self._scale / width)
        y = rows + down * (2 * self._scale / height)
        return functional.grid_sample(
            picture, torch.stack([x, y], -1), padding_mode="border", align_corners=False
        )[:, :, 0]


def _even_surfaces(picture: Tensor, scale: float) -> Tensor:
    """Filter each channel, guided by all: an edge in one protects the others.

    The linear coefficients are computed from a reduced picture (He & Sun 2015, arXiv 1505.00996).
    """
    reduced = functional.interpolate(picture, scale_factor=1 / _REDUCED, mode="area")
    radius = max(1, round(_WINDOW * scale / _REDUCED))
    mean = _box(reduced, radius)
    variance = (_box(reduced**2, radius) - mean**2).clamp(min=0).sum(1, keepdim=True)
    kept = variance / (variance + _UNEVEN**2)
    offset = _box((1 - kept) * mean, radius)
    whole = picture.shape[-2:]
    return _enlarge(_box(kept, radius), whole) * picture + _enlarge(offset, whole)


def _slopes(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return the central differences down and across, for (B, C, H, W)."""
    padded = functional.pad(picture, (1, 1, 1, 1), mode="replicate")
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    return down, across


def _blur(picture: Tensor, deviation: float) -> Tensor:
    """Convolve with a Gaussian."""
    radius = math.ceil(2.5 * deviation)
    places = torch.arange(-radius, radius + 1)
    kernel = torch.softmax(-(places**2) / (2 * deviation**2), dim=0)
    padded = functional.pad(picture, (radius,) * 4, mode="replicate").transpose(0, 1)
    rows = functional.conv2d(padded, kernel.view(1, 1, 1, -1))
    return functional.conv2d(rows, kernel.view(1, 1, -1, 1)).transpose(0, 1)


def _box(picture: Tensor, radius: int) -> Tensor:
    """Return the mean of the square of `radius` around each pixel."""
    padded = functional.pad(picture, (radius,) * 4, mode="replicate")
    return functional.avg_pool2d(padded, 2 * radius + 1, stride=1)


def _enlarge(picture: Tensor, shape: tuple[int, int] | torch.Size) -> Tensor:
    return functional.interpolate(picture, tuple(shape), mode="bilinear", align_corners=False)


def _to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float().div(255)


def _to_pixels(picture: Tensor) -> NDArray[np.uint8]:
    levels = picture[0].permute(1, 2, 0).clamp(0, 1).mul(255).round()
    return levels.to(torch.uint8).numpy()


def _resize(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if len(pixels) == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.LANCZOS))
