"""The finishes sharp and smooth: crisp edges, clean surfaces, unchanged colors."""

from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from covergen.finish.sharp_edges import sharpen, smooth_outlines

Pixels = NDArray[np.uint8]


class Finish(Protocol):
    def __call__(self, pixels: Pixels, *, size: int) -> Pixels: ...


both = pytest.mark.parametrize("finish", [sharpen, smooth_outlines])
GROUND, DISC = (40, 60, 110), (240, 200, 90)


def disc(blur: float = 3.0, size: int = 256) -> Pixels:
    """A disc of 60 % of the side, blurred like a decoder's output."""
    image = Image.new("RGB", (4 * size, 4 * size), GROUND)
    ImageDraw.Draw(image).ellipse([0.8 * size, 0.8 * size, 3.2 * size, 3.2 * size], fill=DISC)
    small = image.resize((size, size), Image.Resampling.BOX)
    return np.asarray(small.filter(ImageFilter.GaussianBlur(blur)))


def rms(errors: NDArray[Any]) -> float:
    return float(np.sqrt(np.square(errors).mean()))


def mixed(pixels: Pixels) -> int:
    """Count the pixels of the middle row that have the color of neither surface."""
    row = pixels[len(pixels) // 2].astype(int)
    return int((np.abs(row[:, None] - [GROUND, DISC]).sum(-1).min(1) > 60).sum())


@both
@pytest.mark.parametrize("size", [128, 256, 400, 512])
def test_blurred_edges_become_crisp(size: int, finish: Finish) -> None:
    blurred = np.asarray(Image.fromarray(disc()).resize((size, size), Image.Resampling.LANCZOS))
    sharp = finish(disc(), size=size)
    assert sharp.shape == (size, size, 3)
    assert mixed(sharp) <= mixed(blurred) / 2


@both
def test_edges_are_antialiased(finish: Finish) -> None:
    """As if drawn at four times the size: closer to it than any whole pixels are."""
    image = Image.new("RGB", (1024, 1024), GROUND)
    ImageDraw.Draw(image).polygon([(0, 300), (1024, 580), (1024, 1024), (0, 1024)], fill=DISC)
    ideal = np.asarray(image.resize((256, 256), Image.Resampling.BOX)).astype(float)
    blurred = Image.fromarray(ideal.astype(np.uint8)).filter(ImageFilter.GaussianBlur(3))
    below = np.abs(ideal - DISC).sum(-1) < np.abs(ideal - GROUND).sum(-1)
    aliased = np.where(below[..., None], DISC, GROUND)
    error = finish(np.asarray(blurred), size=256) - ideal
    assert rms(error[:, 16:-16]) < 0.6 * rms(aliased - ideal)


@both
def test_a_large_cover_is_resampled_from_twice_the_size(finish: Finish) -> None:
    assert finish(disc(size=64), size=500).shape == (500, 500, 3)


def test_smooth_outlines_lose_their_wobble_and_keep_their_area() -> None:
    y, x = np.mgrid[:512, :512] - 255.5
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    wobbly = radius < 150 + 9 * np.sin(9 * angle) + 6 * np.sin(14 * angle + 1)
    picture = np.where(wobbly[..., None], DISC, GROUND).astype(np.uint8)

    def radii(pixels: Pixels) -> NDArray[np.float64]:
        """The radius of the disc in each of 60 directions."""
        inside = np.abs(pixels.astype(int) - DISC).sum(-1) < np.abs(pixels - GROUND).sum(-1)
        sector = ((angle + np.pi) / (2 * np.pi) * 60).astype(int).clip(0, 59)
        return np.sqrt(np.bincount(sector[inside], minlength=60) * 60 / np.pi)

    before, after = radii(picture), radii(smooth_outlines(picture, size=512))
    assert after.std() < before.std() / 2
    assert after.mean() == pytest.approx(before.mean(), rel=0.02)


def test_smooth_outlines_leave_straight_stripes_in_their_places() -> None:
    stripes = np.where((np.arange(512) // 32 % 2)[None, :, None], DISC, GROUND)
    picture = np.broadcast_to(stripes, (512, 512, 3)).astype(np.uint8)
    smooth = smooth_outlines(picture, size=512)[64:-64]
    assert (np.abs(smooth.astype(int) - picture[64:-64]).max(-1) > 60).mean() < 0.04


@pytest.mark.parametrize(("finish", "tolerance"), [(sharpen, 0.01), (smooth_outlines, 0.02)])
def test_forms_and_colors_stay(finish: Finish, tolerance: float) -> None:
    sharp = finish(disc(), size=256)
    inside = np.abs(sharp.astype(int) - DISC).sum(-1) < np.abs(sharp.astype(int) - GROUND).sum(-1)
    assert inside.mean() == pytest.approx(np.pi * 0.3**2, rel=tolerance)
    assert np.abs(sharp[128, 128].astype(int) - DISC).max() <= 2
    assert np.abs(sharp[10, 10].astype(int) - GROUND).max() <= 2


@both
def test_no_color_is_outside_the_range_of_the_picture(finish: Finish) -> None:
    noisy = np.random.default_rng(0).integers(60, 200, (64, 64, 3), np.uint8)
    sharp = finish(noisy, size=64)
    assert noisy.min() <= sharp.min()
    assert sharp.max() <= noisy.max()


@both
@pytest.mark.parametrize("size", [256, 512])
def test_edges_have_no_halos(size: int, finish: Finish) -> None:
    picture = disc()
    sharp = finish(picture, size=size)
    assert (sharp.min((0, 1)) >= picture.min((0, 1)) - 1).all()
    assert (sharp.max((0, 1)) <= picture.max((0, 1)) + 1).all()


@pytest.mark.parametrize(("finish", "width"), [(sharpen, 6), (smooth_outlines, 16)])
def test_a_band_at_the_border_keeps_its_width(finish: Finish, width: int) -> None:
    picture = np.full((256, 256, 3), GROUND, np.uint8)
    picture[:width] = DISC
    blurred = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(2))
    share = (finish(np.asarray(blurred), size=256)[:, 128].astype(float) - GROUND) / (
        np.array(DISC) - GROUND
    )
    assert share.mean(1).sum() == pytest.approx(width, abs=0.1 * width)


@both
def test_smooth_gradients_stay_smooth(finish: Finish) -> None:
    ramp = np.linspace(30, 220, 256).astype(np.uint8)
    gradient = np.broadcast_to(ramp[:, None, None], (256, 256, 3))
    assert np.abs(finish(gradient, size=256).astype(int) - gradient)[16:-16].max() <= 2


@both
def test_uneven_surfaces_become_even(finish: Finish) -> None:
    y, x = np.mgrid[:256, :256]
    mottle = 4 * np.sin(x / 3) * np.sin(y / 3)
    uneven = (disc(blur=1) + mottle[..., None]).clip(0, 255).astype(np.uint8)
    corner = np.s_[:40, :40]
    assert finish(uneven, size=256)[corner].std((0, 1)).max() < uneven[corner].std((0, 1)).max() / 3


@both
def test_the_same_picture_gives_the_same_result(finish: Finish) -> None:
    assert np.array_equal(finish(disc(), size=256), finish(disc(), size=256))


@both
@pytest.mark.parametrize("size", [1, 3, 8, 17, 64])
def test_a_uniform_picture_stays_uniform(size: int, finish: Finish) -> None:
    gray = np.full((size, size, 3), 120, np.uint8)
    assert np.unique(finish(gray, size=size)).tolist() == [120]
