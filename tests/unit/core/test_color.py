import numpy as np
import pytest
from PIL import Image, ImageCms

from covergen.core.color import (
    cielab_from_linear,
    fit_gamut,
    linear_from_oklab,
    linear_from_srgb,
    oklab_from_oklch,
    srgb_from_linear,
)


def test_bytes_survive_linear_light() -> None:
    values = np.arange(256, dtype=np.uint8).repeat(3).reshape(-1, 3)
    assert np.array_equal(srgb_from_linear(linear_from_srgb(values)), values)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [  # CIE 1976, D65, as published in many tables
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
    ],
)
def test_cielab_of_known_colours(
    rgb: tuple[int, int, int], lab: tuple[float, float, float]
) -> None:
    found = cielab_from_linear(linear_from_srgb(np.array(rgb, np.uint8)))
    assert found == pytest.approx(lab, abs=0.1)


@pytest.mark.parametrize(
    ("oklab", "rgb"),
    [  # the primaries in Ottosson's space
        ((1.0, 0.0, 0.0), (255, 255, 255)),
        ((0.62796, 0.22486, 0.12585), (255, 0, 0)),
        ((0.86644, -0.23389, 0.17950), (0, 255, 0)),
        ((0.45201, -0.03246, -0.31153), (0, 0, 255)),
    ],
)
def test_oklab_of_the_primaries(
    oklab: tuple[float, float, float], rgb: tuple[int, int, int]
) -> None:
    found = srgb_from_linear(linear_from_oklab(np.array(oklab, np.float32)))
    assert np.abs(found.astype(int) - rgb).max() <= 1


def test_fitted_colours_are_printable_and_keep_lightness_and_hue() -> None:
    wild = np.stack([oklab_from_oklch(0.6, 0.4, hue) for hue in range(0, 360, 30)])
    fitted = fit_gamut(wild)
    linear = linear_from_oklab(fitted)
    assert linear.min() > -0.01
    assert linear.max() < 1.01
    assert np.allclose(fitted[:, 0], 0.6)
    hues = np.arctan2(fitted[:, 2], fitted[:, 1])
    assert np.allclose(hues, np.arctan2(wild[:, 2], wild[:, 1]), atol=1e-4)


def test_colours_within_the_gamut_are_left_alone() -> None:
    calm = np.stack([oklab_from_oklch(0.6, 0.05, hue) for hue in range(0, 360, 30)])
    assert np.allclose(fit_gamut(calm), calm)


def test_cielab_against_littlecms() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    # Little CMS gives Lab relative to D50, as does our own where white is the reference: the two
    # agree in lightness to the rounding of 8 bits, which is what is compared.
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    found = ImageCms.applyTransform(Image.fromarray(pixels), transform)
    assert found is not None
    lightness = np.asarray(found)[..., 0] / 255 * 100
    ours = cielab_from_linear(linear_from_srgb(pixels))[..., 0]
    assert np.abs(lightness - ours).max() < 2.5
