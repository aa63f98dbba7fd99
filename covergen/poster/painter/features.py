"""Measure a cover: color, contrast, and the amount and size of its forms."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from covergen.core.color import cielab_from_linear, linear_from_srgb
from covergen.poster.painter.direction import measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.core.color import Floats


_SIDE = 128
_EDGE = 8.0
_LAGS = _SIDE // 2
_RINGS = np.rint(np.hypot(*np.indices((_LAGS, _LAGS)))).astype(np.intp).ravel()


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Means of L*, C*, a*, b*; standard deviation of L*; edge density; size of forms.

    `edge_density` is log2 of the share of the picture with a clearly visible color step: CIE 1976
    dE > 8 between neighboring pixels at a side of 128.
    `element_scale` is log2 of the integral length, as a share of the side, of the autocorrelation
    of each pixel's color distance from the median color.
    """

    lightness: float
    chroma: float
    a: float
    b: float
    contrast: float
    edge_density: float
    element_scale: float


def features(pixels: NDArray[np.uint8]) -> Features:
    """Measure a picture at a side of 128 pixels.

    pixels: (size, size, 3) sRGB, size a multiple of 128.
    """
    step = len(pixels) // _SIDE
    linear = linear_from_srgb(pixels)
    lab = cielab_from_linear(linear.reshape(_SIDE, step, _SIDE, step, 3).mean((1, 3)))
    fine = cielab_from_linear(linear[::2, ::2]) if step > 1 else lab
    return Features(
        **asdict(measure(fine)),
        edge_density=edge_density(lab),
        element_scale=element_scale(lab),
    )


def edge_density(lab: Floats) -> float:
    """Return `Features.edge_density` of a CIE L*a*b* picture, (128, 128, 3)."""
    across = np.diff(lab, axis=1)[:-1]
    down = np.diff(lab, axis=0)[:, :-1]
    steep = (across**2).sum(-1) + (down**2).sum(-1) > _EDGE**2
    return float(np.log2(steep.mean() + 1 / _SIDE))


def element_scale(lab: Floats) -> float:
    """Return `Features.element_scale` of a CIE L*a*b* picture, (128, 128, 3).

    The autocorrelation is computed by the Wiener-Khinchin theorem.
    """
    figure = np.sqrt(((lab - np.median(lab[::3, ::3], axis=(0, 1))) ** 2).sum(-1))
    padded = (2 * _SIDE, 2 * _SIDE)
    power = np.abs(np.fft.rfft2(figure, padded)) ** 2
    correlation = np.fft.irfft2(power, padded)
    mirrored = np.roll(correlation[:, ::-1], 1, axis=1)
    both = (correlation + mirrored)[:_LAGS, :_LAGS].ravel()
    profile = np.bincount(_RINGS, both) / np.bincount(_RINGS)
    profile = profile[:_LAGS] / max(profile[0], 1e-9)
    return float(np.log2(max(profile.sum(), 1) / _SIDE))
