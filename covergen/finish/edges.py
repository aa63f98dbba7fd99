"""The edges of a picture, to smooth along and to steepen across.

A coherence-enhancing shock filter (Weickert 2003; Kyprianidis & Kang 2011): next to an edge, each
pixel takes the color of the side that it is on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

# Lengths are in pixels, times the scale that the picture is enlarged by. Levels are 0..1.
_EDGE_SCALE = 2.0  # of the neighborhood that has one direction
_ACROSS = 1.5  # standard deviation of the smoothing before curvature is measured
_CURVED = 0.002  # curvature at which there is an edge


class Edges:
    """The edges of a picture: the pixels on them, each with a unit normal and a strength of 0..1.

    `slopes` are those between which an edge is treated. Values are computed for its pixels only, a
    small part of most pictures: (1, 1, N), colors (1, 3, N).
    """

    def __init__(self, picture: Tensor, slopes: Sequence[float], scale: float = 1.0) -> None:
        self._scale = scale
        height, width = picture.shape[-2:]
        down, across = _slopes(functional.avg_pool2d(picture, 2, ceil_mode=True))
        products = torch.cat(
            [(t * scale**2 / 4).sum(1, keepdim=True) for t in (across**2, across * down, down**2)],
            dim=1,
        )  # the structure tensor, which is smooth enough to be computed at half the size
        products = enlarge(_blur(products, _EDGE_SCALE * scale / 2, _repeated), (height, width))
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
        self._size = height, width

    def smooth(self, picture: Tensor, deviation: float) -> Tensor:
        """Smooth along edges by a Gaussian kernel of fourth order, which hardly shrinks circles."""
        colors = lowest = highest = self._at(picture)
        total, weights = 1.5 * colors, 1.5
        x, y = self._normal
        for step in range(1, math.ceil(2.5 * deviation) + 1):
            squared = (step / deviation) ** 2
            weight = (1.5 - squared / 2) * math.exp(-squared / 2)
            for length in (step * self._scale, -step * self._scale):
                near = self._sample(picture, -length * y, length * x)
                lowest, highest = torch.minimum(lowest, near), torch.maximum(highest, near)
                total.add_(near, alpha=weight)
            weights += 2 * weight
        smooth = (total / weights).clamp(lowest, highest)
        return self._changed(picture, torch.lerp(colors, smooth, self._strength))

    def steepen(self, picture: Tensor, reach: float) -> Tensor:
        """Give pixels next to edges the color of their side: the darkest or lightest in reach.

        Pixels that an edge crosses get the share of each side that they cover: curvature is 0 on an
        edge, and divided by its slope across the edge it is the distance from it.
        """
        x, y = self._normal
        light = picture.mean(1, keepdim=True)
        deviation = _ACROSS * self._scale
        bent = _second_slopes(_blur(light, deviation, continued))
        curvature = self._across(self._at(bent))
        ahead, behind = (self._across(self._sample(bent, t * x, t * y)) for t in (1, -1))
        change = (ahead - behind).abs() / 2
        dark_share = (0.5 + curvature / (change + 1e-9)).clamp(0, 1)
        dark = bright = colors = self._at(picture)
        lowest = highest = self._at(light)
        for length in (reach, -reach, reach / 2, -reach / 2):
            offset = length * self._scale
            near = self._sample(picture, offset * x, offset * y)
            level = near.mean(1, keepdim=True)
            dark = torch.where(level < lowest, near, dark)
            bright = torch.where(level > highest, near, bright)
            lowest, highest = torch.minimum(lowest, level), torch.maximum(highest, level)
        height = torch.hypot(curvature, change * deviation) * deviation**2
        share = (height / _CURVED - 1).clamp(0, 1) * self._strength
        return self._changed(
            picture, torch.lerp(colors, torch.lerp(bright, dark, dark_share), share)
        )

    def _across(self, bent: Tensor) -> Tensor:
        """Return the second derivative across edges, plus half of that along them, (1, 1, N).

        With the latter, its zeros are on the edges even where these are curved and blurred (Verbeek
        & van Vliet 1994). `bent` has the second derivatives, (1, 3, N).
        """
        x, y = self._normal
        factors = torch.cat([x**2 + y**2 / 2, x * y, y**2 + x**2 / 2], 1)
        return (bent * factors).sum(1, keepdim=True)

    def _at(self, values: Tensor) -> Tensor:
        """Select the pixels on edges: (1, C, N) of (1, C, H, W)."""
        return values.flatten(2).index_select(2, self._pixels)

    def _changed(self, picture: Tensor, colors: Tensor) -> Tensor:
        return picture.flatten(2).index_copy(2, self._pixels, colors).view_as(picture)

    def _sample(self, picture: Tensor, right: Tensor, down: Tensor) -> Tensor:
        """Return the values at an offset in pixels from each pixel."""
        height, width = self._size
        columns, rows = self._places
        places = torch.stack([columns + right * (2 / width), rows + down * (2 / height)], -1)
        return functional.grid_sample(picture, places, padding_mode="border", align_corners=False)[
            :, :, 0
        ]


def enlarge(picture: Tensor, shape: Sequence[int]) -> Tensor:
    """Resize (B, C, H, W) to a larger height and width."""
    return functional.interpolate(picture, tuple(shape), mode="bilinear", align_corners=False)


def _slopes(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return the central differences down and across, for (B, C, H, W)."""
    padded = continued(picture, 1)
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    return down, across


def _second_slopes(picture: Tensor) -> Tensor:
    """Return the differences of differences: across, across and down, down; (B, 3, H, W)."""
    down, across = _slopes(picture)
    twisted, bent_across = _slopes(across)
    return torch.cat([bent_across, twisted, _slopes(down)[0]], dim=1)


def _repeated(picture: Tensor, margin: int) -> Tensor:
    """Extend by repeating the border."""
    return functional.pad(picture, (margin,) * 4, mode="replicate")


def continued(picture: Tensor, margin: int) -> Tensor:
    """Extend by point reflection: gradients go on beyond the border, and do not bend there."""
    for axis in (-2, -1):
        last = picture.shape[axis] - 1
        steps = torch.arange(1, margin + 1).clamp(max=last)
        before = 2 * picture.narrow(axis, 0, 1) - picture.index_select(axis, steps.flip(0))
        after = 2 * picture.narrow(axis, last, 1) - picture.index_select(axis, last - steps)
        picture = torch.cat([before, picture, after], axis)
    return picture


def _blur(picture: Tensor, deviation: float, extend: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Convolve with a Gaussian."""
    radius = math.ceil(2.5 * deviation)
    places = torch.arange(-radius, radius + 1)
    kernel = torch.softmax(-(places**2) / (2 * deviation**2), dim=0)
    extended = extend(picture, radius).transpose(0, 1)
    rows = functional.conv2d(extended, kernel.view(1, 1, 1, -1))
    return functional.conv2d(rows, kernel.view(1, 1, -1, 1)).transpose(0, 1)
