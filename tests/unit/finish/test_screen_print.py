"""The print finish: a few flat inks, sharp at any size, small files, deterministic."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from covergen.finish.screen_print import screen_print

Pixels = NDArray[np.uint8]
GROUND, DISC, DOT = (181, 18, 59), (255, 213, 194), (27, 27, 58)


def poster(blur: float = 0.0, size: int = 256) -> Pixels:
    """A pale disc on crimson with a small dark dot, blurred like a decoder's output."""
    image = Image.new("RGB", (size, size), GROUND)
    draw = ImageDraw.Draw(image)
    draw.ellipse([size * 0.2, size * 0.2, size * 0.8, size * 0.8], fill=DISC)
    draw.ellipse([size * 0.4, size * 0.4, size * 0.46, size * 0.46], fill=DOT)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(blur)))


def shares(pixels: Pixels) -> dict[tuple[int, ...], float]:
    """Return the area share of each color, largest first."""
    colors, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    order = np.argsort(-counts)
    return {tuple(map(int, colors[k])): counts[k] / counts.sum() for k in order}


def test_a_blurred_picture_is_printed_in_its_main_colors() -> None:
    printed = shares(screen_print(poster(blur=3), size=256, inks=5))
    for color, wanted in zip(list(printed)[:2], (GROUND, DISC), strict=True):
        assert np.abs(np.subtract(color, wanted)).max() <= 3
    dot = [s for color, s in printed.items() if np.abs(np.subtract(color, DOT)).max() <= 60]
    assert sum(dot) == pytest.approx(np.pi * 0.03**2, rel=0.5)  # small, but not lost


def test_forms_keep_their_area() -> None:
    printed = screen_print(poster(blur=2), size=512)
    pale = np.abs(printed.astype(int) - DISC).sum(-1) < 60
    assert pale.mean() == pytest.approx(np.pi * 0.3**2 - np.pi * 0.03**2, rel=0.02)


@pytest.mark.parametrize("size", [100, 1024, 1500])
def test_edges_are_a_pixel_wide_at_any_size(size: int) -> None:
    printed = screen_print(poster(blur=3), size=size)
    assert printed.shape == (size, size, 3)
    row = printed[size // 2].astype(int)
    inks = np.abs(row[:, None] - [GROUND, DISC]).sum(-1).min(1) < 40
    assert (~inks).sum() <= 4  # two edges


def test_two_inks_give_two_colors_and_antialiased_edges() -> None:
    printed = shares(screen_print(poster(), size=128, inks=2))
    assert sum(list(printed.values())[:2]) > 0.95


def test_paper_adds_slight_reproducible_grain() -> None:
    flat, grained, same = (
        screen_print(poster(), size=300, paper=paper).astype(float) for paper in (False, True, True)
    )
    assert np.array_equal(grained, same)
    assert 0.5 < (grained - flat).std() < 4
    assert abs((grained - flat).mean()) < 0.5


def test_a_uniform_picture_stays_uniform() -> None:
    gray = np.full((64, 64, 3), 120, np.uint8)
    printed = screen_print(gray, size=128)
    assert np.abs(printed.astype(int) - 120).max() <= 1


def test_a_print_compresses_well() -> None:
    stream = io.BytesIO()
    Image.fromarray(screen_print(poster(blur=2), size=1024)).save(stream, "PNG")
    assert len(stream.getvalue()) < 40_000
