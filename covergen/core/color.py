"""Conversions between sRGB, OKLab (Ottosson 2020) and CIE L*a*b* (D65), on (..., 3) arrays."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]

_LMS_FROM_OKLAB = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ],
    np.float32,
)
_LINEAR_FROM_LMS = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ],
    np.float32,
)
_OKLAB_FROM_LMS = np.linalg.inv(_LMS_FROM_OKLAB.astype(np.float64))
_LMS_FROM_LINEAR = np.linalg.inv(_LINEAR_FROM_LMS.astype(np.float64))
_XYZ_FROM_LINEAR = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ],
    np.float32,
)
# Rows are divided by the white point, so that white maps to (1, 1, 1).
_RELATIVE_XYZ_FROM_LINEAR = _XYZ_FROM_LINEAR / _XYZ_FROM_LINEAR.sum(1, keepdims=True)


def _encode(linear: Floats) -> Floats:
    """Apply the sRGB transfer function (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _decode(encoded: Floats) -> Floats:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


_LEVELS = 1 << 14  # of linear light in the lookup table
_BYTE_FROM_LINEAR = np.rint(255 * _encode(np.linspace(0, 1, _LEVELS))).astype(np.uint8)
_LINEAR_FROM_BYTE = _decode(np.arange(256) / 255).astype(np.float32)


def srgb_from_linear(linear: Floats) -> NDArray[np.uint8]:
    """Convert linear light to 8-bit sRGB, clipping out-of-gamut values."""
    levels = np.clip(linear, 0, 1) * np.float32(_LEVELS - 1) + np.float32(0.5)
    return _BYTE_FROM_LINEAR[levels.astype(np.uint16)]


def linear_from_srgb(pixels: NDArray[np.uint8]) -> Floats:
    """Convert 8-bit sRGB to linear light in 0..1."""
    return _LINEAR_FROM_BYTE[pixels]


def linear_from_oklab(oklab: Floats) -> Floats:
    """Convert OKLab to linear sRGB; out-of-gamut colors fall outside 0..1."""
    roots = oklab @ _LMS_FROM_OKLAB.T
    return (roots * roots * roots) @ _LINEAR_FROM_LMS.T


def oklab_from_linear(linear: Floats) -> Floats:
    """Convert linear sRGB to OKLab; the inverse of `linear_from_oklab`."""
    oklab: Floats = np.cbrt(linear @ _LMS_FROM_LINEAR.T) @ _OKLAB_FROM_LMS.T
    return oklab.astype(np.float32)


def cielab_from_linear(linear: Floats) -> Floats:
    """Convert linear sRGB to CIE L*a*b* (D65)."""
    xyz = np.maximum(linear, 0) @ _RELATIVE_XYZ_FROM_LINEAR.T
    roots = np.where(xyz > 216 / 24389, np.cbrt(xyz), xyz * (24389 / 3132) + 16 / 116)
    x, y, z = roots[..., 0], roots[..., 1], roots[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


_CHROMA_SCALES = np.linspace(1, 0, 33, dtype=np.float32)[:, None]


def fit_gamut(oklab: Floats) -> Floats:
    """Reduce the chroma of each OKLab color, (N, 3), until it fits in sRGB."""
    scaled = np.repeat(oklab[None], len(_CHROMA_SCALES), axis=0)
    scaled[..., 1:] *= _CHROMA_SCALES[:, :, None]
    linear = linear_from_oklab(scaled)
    inside = np.all((linear > -0.002) & (linear < 1.002), axis=-1)
    first = np.where(inside.any(0), inside.argmax(0), len(_CHROMA_SCALES) - 1)
    fitted: Floats = scaled[first, np.arange(len(oklab))]
    return fitted
