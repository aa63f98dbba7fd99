"""The sharp finish: crisp edges, clean surfaces, unchanged colours and forms."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from covergen.finish.sharp_edges import sharpen

Pixels = NDArray[np.uint8]
GROUND, DISC = (40, 60, 110), (240, 200, 90)


def disc(blur: float = 3.0, size: int = 256) -> Pixels:
    """A disc of 60 % of the side, blurred like a decoder's output."""
    image = Image.new("RGB", (4 * size, 4 * size), GROUND)
    ImageDraw.Draw(image).ellipse([0.8 * size, 0.8 * size, 3.2 * size, 3.2 * size], fill=DISC)
    small = image.resize((size, size), Image.Resampling.BOX)
    return np.asarray(small.filter(ImageFilter.GaussianBlur(blur)))


def mixed(pixels: Pixels) -> int:
    """Count the pixels of the middle row that have the colour of neither surface."""
    row = pixels[len(pixels) // 2].astype(int)
    return int((np.abs(row[:, None] - [GROUND, DISC]).sum(-1).min(1) > 60).sum())


@pytest.mark.parametrize("size", [128, 256, 400, 512])
def test_blurred_edges_become_crisp(size: int) -> None:
    blurred = np.asarray(Image.fromarray(disc()).resize((size, size), Image.Resampling.LANCZOS))
    sharp = sharpen(disc(), size=size)
    assert sharp.shape == (size, size, 3)
    assert mixed(sharp) <= mixed(blurred) / 2


def test_a_large_cover_is_resampled_from_twice_the_size() -> None:
    assert sharpen(disc(size=64), size=500).shape == (500, 500, 3)


def test_forms_and_colors_stay() -> None:
    sharp = sharpen(disc(), size=256)
    inside = np.abs(sharp.astype(int) - DISC).sum(-1) < np.abs(sharp.astype(int) - GROUND).sum(-1)
    assert inside.mean() == pytest.approx(np.pi * 0.3**2, rel=0.01)
    assert np.abs(sharp[128, 128].astype(int) - DISC).max() <= 2
    assert np.abs(sharp[10, 10].astype(int) - GROUND).max() <= 2


def test_no_color_is_outside_the_range_of_the_picture() -> None:
    noisy = np.random.default_rng(0).integers(60, 200, (64, 64, 3), np.uint8)
    sharp = sharpen(noisy, size=64)
    assert noisy.min() <= sharp.min()
    assert sharp.max() <= noisy.max()


def test_smooth_gradients_stay_smooth() -> None:
    ramp = np.linspace(30, 220, 256).astype(np.uint8)
    gradient = np.broadcast_to(ramp[:, None, None], (256, 256, 3))
    assert np.abs(sharpen(gradient, size=256).astype(int) - gradient)[16:-16].max() <= 2


def test_uneven_surfaces_become_even() -> None:
    y, x = np.mgrid[:256, :256]
    mottle = 4 * np.sin(x / 3) * np.sin(y / 3)
    uneven = (disc(blur=1) + mottle[..., None]).clip(0, 255).astype(np.uint8)
    corner = np.s_[:40, :40]
    assert (
        sharpen(uneven, size=256)[corner].std((0, 1)).max() < uneven[corner].std((0, 1)).max() / 3
    )


def test_the_same_picture_gives_the_same_result() -> None:
    assert np.array_equal(sharpen(disc(), size=256), sharpen(disc(), size=256))


@pytest.mark.parametrize("size", [8, 17, 64])
def test_a_uniform_picture_stays_uniform(size: int) -> None:
    grey = np.full((size, size, 3), 120, np.uint8)
    assert np.unique(sharpen(grey, size=size)).tolist() == [120]
