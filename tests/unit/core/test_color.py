import numpy as np
import pytest
from numpy.typing import ArrayLike

from covergen.core.color import (
    cielab_from_linear,
    fit_gamut,
    linear_from_oklab,
    linear_from_srgb,
    oklab_from_linear,
    srgb_from_linear,
)


def test_srgb_round_trips() -> None:
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(-1, 3)
    assert np.array_equal(srgb_from_linear(linear_from_srgb(pixels)), pixels)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [  # CIE 1976 with D65, from published tables
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
    ],
)
def test_cielab_of_known_colors(rgb: ArrayLike, lab: ArrayLike) -> None:
    found = cielab_from_linear(linear_from_srgb(np.array(rgb, np.uint8)))
    assert found == pytest.approx(lab, abs=0.1)


@pytest.mark.parametrize(
    ("oklab", "rgb"),
    [  # white and the sRGB primaries, from Ottosson's article
        ((1.0, 0.0, 0.0), (255, 255, 255)),
        ((0.62796, 0.22486, 0.12585), (255, 0, 0)),
        ((0.86644, -0.23389, 0.17950), (0, 255, 0)),
        ((0.45201, -0.03246, -0.31153), (0, 0, 255)),
    ],
)
def test_oklab_of_the_primaries(oklab: ArrayLike, rgb: ArrayLike) -> None:
    pixels = srgb_from_linear(linear_from_oklab(np.array(oklab, np.float32)))
    assert np.abs(pixels.astype(int) - rgb).max() <= 1
    found = oklab_from_linear(linear_from_srgb(np.array(rgb, np.uint8)))
    assert found == pytest.approx(oklab, abs=1e-3)


def test_fit_gamut_keeps_lightness_and_hue() -> None:
    hue = np.deg2rad(np.arange(0, 360, 30, dtype=np.float32))
    vivid = np.stack([np.full_like(hue, 0.6), 0.4 * np.cos(hue), 0.4 * np.sin(hue)], axis=1)
    fitted = fit_gamut(vivid)
    linear = linear_from_oklab(fitted)
    assert linear.min() > -0.01
    assert linear.max() < 1.01
    assert np.allclose(fitted[:, 0], 0.6)
    hues = np.arctan2(fitted[:, 2], fitted[:, 1])
    assert np.allclose(hues, np.arctan2(vivid[:, 2], vivid[:, 1]), atol=1e-4)
