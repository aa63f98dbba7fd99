"""The print finish: a few flat inks with smooth edges, sharp at any size."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFilter

from covergen.core.color import (
    Floats,
    linear_from_oklab,
    linear_from_srgb,
    oklab_from_linear,
    srgb_from_linear,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


_BINS = 40  # per unit of each OKLab axis, for counting colors
_LOWEST = np.array([0.0, -0.4, -0.4])
_STEEP = 0.04  # OKLab units per pixel: at such edges colors are mixtures
_EDGE_WEIGHT = 0.03
_ACCENTS = 0.5  # exponent of an area's weight: below 1, small areas count more
_ROUNDS = 20
_OFF_LINE = 0.07  # OKLab units: closer to the line between two colors, it may be their mixture
_THIN = 0.012  # of the side
_NEAR = 0.045  # OKLab units: closer inks are merged
_SMOOTH = 1 / 240  # of the side: radius of the blur that smooths contours
_FINE = 2  # samples per pixel and axis, for antialiasing
_STRIP = 128  # output rows processed together
_GRAIN = 0.012


def screen_print(
    pixels: NDArray[np.uint8], *, size: int, inks: int = 6, paper: bool = False
) -> NDArray[np.uint8]:
    """Print a picture in at most `inks` flat colors; `paper` adds paper grain.

    pixels: (H, H, 3) uint8 sRGB. Returns (size, size, 3) uint8 sRGB. Deterministic.
    """
    oklab = oklab_from_linear(linear_from_srgb(pixels))
    weight = _flatness(oklab)
    colors = _without_mixtures(oklab, find_inks(oklab, weight, inks))
    areas = _smooth_areas(oklab, weight, colors)
    printed = _press(areas, linear_from_oklab(colors), size)
    return _add_grain(printed) if paper else printed


def find_inks(oklab: Floats, weight: Floats, count: int) -> Floats:
    """Find the main colors of a picture by decreasing area: (N, 3) OKLab, N at most `count`.

    Weighted k-means (Lloyd 1982), starting from colors that are far apart. oklab: (H, W, 3);
    weight: (H, W), the weight of each pixel.
    """
    colors, areas = _count_colors(oklab, weight)
    pull = areas**_ACCENTS
    centers = colors[[int(areas.argmax())]]
    while len(centers) < min(count, len(colors)):
        distance = _distances(colors, centers).min(1)
        centers = np.vstack([centers, colors[int((pull * distance).argmax())]])
    for _ in range(_ROUNDS):
        centers = _average_nearest(colors, centers, pull)
    nearest = _distances(colors, centers).argmin(1)
    # Mixtures pull the centers away from the colors of flat areas, which are the inks.
    centers = _average_nearest(colors, centers, areas**2)
    covered = np.bincount(nearest, areas, len(centers))
    return _merge_near(centers[np.argsort(-covered, kind="stable")])


def _without_mixtures(oklab: Floats, inks: Floats) -> Floats:
    """Drop inks that only occur along edges, as a mixture of the colors on both sides."""
    nearest = _distances(oklab.reshape(-1, 3), inks).argmin(1).reshape(oklab.shape[:2])
    kept = list(range(len(inks)))
    for ink in reversed(range(2, len(inks))):
        others = inks[[k for k in kept if k != ink]]
        if _is_mixture(inks[ink], others) and _is_thin(nearest == ink):
            kept.remove(ink)
    return inks[kept]


def _is_mixture(color: Floats, others: Floats) -> bool:
    """Return whether a color is close to the line between two of the others."""
    for first, second in combinations(others, 2):
        along = second - first
        share = float((color - first) @ along / (along @ along))
        off = np.linalg.norm(color - first - share * along)
        if 0.1 < share < 0.9 and off < _OFF_LINE:
            return True
    return False


def _is_thin(area: NDArray[np.bool_]) -> bool:
    """Return whether an area nearly vanishes when its border is eroded."""
    border = max(1, round(_THIN * len(area)))
    core = Image.fromarray(np.uint8(255 * area)).filter(ImageFilter.MinFilter(2 * border + 1))
    return bool(np.count_nonzero(np.asarray(core)) < 0.1 * np.count_nonzero(area))


def _average_nearest(colors: Floats, centers: Floats, weights: Floats) -> Floats:
    """Move each center to the weighted mean of its nearest colors."""
    nearest = _distances(colors, centers).argmin(1)
    total = np.bincount(nearest, weights, len(centers))
    sums = [np.bincount(nearest, colors[:, axis] * weights, len(centers)) for axis in range(3)]
    means = np.stack(sums, axis=1) / np.maximum(total, 1e-12)[:, None]
    moved: Floats = np.where(total[:, None] > 0, means, centers)
    return moved


def _flatness(oklab: Floats) -> Floats:
    """Return the flatness of each pixel, (H, W): 1 in flat areas, close to 0 on edges."""
    down, across = (np.gradient(oklab, axis=axis) for axis in (0, 1))
    steepness = np.sqrt((down**2 + across**2).sum(-1))
    weight: Floats = np.exp(-((steepness / _STEEP) ** 2)) + _EDGE_WEIGHT
    return weight


def _count_colors(oklab: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return the picture's distinct colors, (M, 3), and their weights, (M,)."""
    flat = oklab.reshape(-1, 3)
    bins = np.rint((flat - _LOWEST) * _BINS).astype(np.int64)
    codes = bins @ np.array([1 << 16, 1 << 8, 1])
    _, index = np.unique(codes, return_inverse=True)
    areas: Floats = np.bincount(index, weight.ravel()).astype(np.float64)
    sums = [np.bincount(index, flat[:, axis] * weight.ravel()) for axis in range(3)]
    colors: Floats = np.stack(sums, axis=1) / areas[:, None]
    return colors, areas


def _distances(colors: Floats, centers: Floats) -> Floats:
    """Return squared distances, (M, N)."""
    squared: Floats = ((colors[:, None] - centers[None]) ** 2).sum(-1)
    return squared


def _merge_near(inks: Floats) -> Floats:
    kept: list[Any] = []
    for ink in inks:
        if all(np.linalg.norm(ink - other) > _NEAR for other in kept):
            kept.append(ink)
    return np.array(kept, np.float32)


def _smooth_areas(oklab: Floats, weight: Floats, inks: Floats) -> list[Image.Image]:
    """Return a blurred coverage map for each ink, as float images."""
    nearest = _distances(oklab.reshape(-1, 3), inks).argmin(1).reshape(weight.shape)
    blur = ImageFilter.GaussianBlur(_SMOOTH * len(oklab))
    areas = []
    for ink in range(len(inks)):
        # Pillow only blurs 8-bit images; the rounding is too small to move an edge.
        share = Image.fromarray(np.uint8(255 * np.clip(weight, 0, 1) * (nearest == ink)))
        areas.append(Image.fromarray(np.asarray(share.filter(blur), np.float32)))
    return areas


def _press(areas: list[Image.Image], inks: Floats, size: int) -> NDArray[np.uint8]:
    """Print each pixel with the ink of the largest share, in strips. inks: linear light."""
    side = areas[0].width
    strips = []
    for top in range(0, size, _STRIP):
        rows = min(_STRIP, size - top)
        box = (0, top * side / size, side, (top + rows) * side / size)
        shape = (size * _FINE, rows * _FINE)
        shares = [
            np.asarray(area.resize(shape, Image.Resampling.BICUBIC, box=box)) for area in areas
        ]
        chosen = inks[np.argmax(shares, axis=0)]
        fine = chosen.reshape(rows, _FINE, size, _FINE, 3)
        strips.append(srgb_from_linear(fine.mean((1, 3))))
    return np.concatenate(strips)


def _add_grain(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Add paper grain: small variations in lightness, equal in all channels."""
    noise = np.random.default_rng(0).standard_normal(pixels.shape[:2], np.float32)
    soft = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) / np.float32(3**0.5)
    grained = pixels * (1 + _GRAIN * soft)[..., None]
    return np.clip(grained + np.float32(0.5), 0, 255).astype(np.uint8)
