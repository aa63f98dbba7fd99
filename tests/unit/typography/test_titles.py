"""Titles can be read on every picture, stay within it, and are left out rather than set wrongly."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from covergen.typography.titles import Composition, compose

SIDE = 300
Pixels = NDArray[np.uint8]

LONG = (
    "When the Pawn Hits the Conflicts He Thinks Like a King What He Knows Throws the Blows When He"
    " Goes to the Fight and He'll Win the Whole Thing 'Fore He Enters the Ring There's No Body to"
    " Batter When Your Mind Is Your Might So When You Go Solo, You Hold Your Own Hand and Remember"
)
TITLES = [
    ("Low", "David Bowie"),
    ("X", ""),
    ("Ø", "Disasterpeace"),
    ("Untitled", "Unknown"),
    ("Symphony No. 9 in D minor, Op. 125 “Choral”", "Ludwig van Beethoven"),
    ("Goldberg Variations, BWV 988: Aria and 30 Variations (1981)", "Glenn Gould"),
    ("Supercalifragilisticexpialidocious" * 3, "Various Artists"),
    ("Έρωτας και σκόνη", "Μίκης Θεοδωράκης"),
    ("Группа крови", "Кино"),
    ("Điều Gì Đó Mới Mẻ", "Mỹ Tâm"),
    (LONG, "Fiona Apple"),
    ("Requiem", "The " + "Very " * 40 + "Long Band"),
]


def flat(value: int) -> Pixels:
    return np.full((SIDE, SIDE, 3), value, np.uint8)


def noise() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def stripes(width: int) -> Pixels:
    rows = (np.arange(SIDE) // width % 2 * 255).astype(np.uint8)
    return np.broadcast_to(rows[:, None, None], (SIDE, SIDE, 3)).copy()


def slope() -> Pixels:
    rise = np.linspace(0, 255, SIDE).astype(np.uint8)
    return np.stack(np.broadcast_arrays(rise[None], rise[:, None], rise[None, ::-1]), axis=-1)


PICTURES: dict[str, Callable[[], Pixels]] = {
    "black": partial(flat, 0),
    "middle gray": partial(flat, 118),
    "white": partial(flat, 255),
    "noise": noise,
    "fine stripes": partial(stripes, 3),
    "broad stripes": partial(stripes, 60),
    "slope": slope,
}


def relative_luminance(pixels: NDArray[np.floating]) -> NDArray[np.floating]:
    """WCAG 2.2, definition of relative luminance. pixels: (..., 3) in 0..255."""
    share = pixels / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrasts(composition: Composition) -> NDArray[np.floating]:
    """The contrast of the letters' color with everything within two pixels of them."""
    changed = (composition.drawn() != composition.ground).any(-1)
    near = np.asarray(Image.fromarray(np.uint8(255 * changed)).filter(ImageFilter.MaxFilter(5))) > 0
    assert near.any()
    below = relative_luminance(composition.ground[near].astype(float)) + 0.05
    letters = relative_luminance(np.array(composition.color, float)) + 0.05
    ratio: NDArray[np.floating] = np.maximum(below / letters, letters / below)
    return ratio


@pytest.mark.parametrize("picture", PICTURES)
def test_titles_have_a_contrast_of_at_least_4_5(picture: str) -> None:
    pixels = PICTURES[picture]()
    for seed in range(len(picture) % 2, 12, 2):
        title, artist = TITLES[seed]
        composition = compose(pixels, title, artist, seed=seed)
        assert composition is not None
        assert np.quantile(contrasts(composition), 0.01) >= 4.5


@pytest.mark.parametrize(("title", "artist"), [*TITLES, ("Live (\u0301)", "\u200d")])
def test_lines_stay_within_the_picture(title: str, artist: str) -> None:
    for pixels in (flat(230), noise()):
        for seed in range(2):
            composition = compose(pixels, title, artist, seed=seed)
            assert composition is not None
            for line in composition.lines:
                assert min(line.box) > 0
                assert max(line.box) < SIDE


def test_lines_do_not_touch_each_other() -> None:
    for seed, (title, artist) in enumerate(TITLES):
        composition = compose(flat(240), title, artist, seed=seed)
        assert composition is not None
        boxes = [line.box for line in composition.lines]
        for number, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[number + 1 :]:
                apart = other[1] >= bottom or other[3] <= top or other[0] >= right
                assert apart or other[2] <= left


def test_the_title_is_whole_where_it_fits() -> None:
    for seed in range(8):
        composition = compose(slope(), "The Dark Side of the Moon", "Pink Floyd", seed=seed)
        assert composition is not None
        text = " ".join(line.text for line in composition.lines)
        assert "The Dark Side of the Moon" in text
        assert "Pink Floyd" in text


def test_too_long_a_title_ends_in_an_ellipsis() -> None:
    composition = compose(noise(), LONG, "", seed=0)
    assert composition is not None
    assert composition.lines[-1].text.endswith("…")


def test_a_seed_always_gives_the_same_title_and_seeds_give_several_layouts() -> None:
    drawn = [compose(slope(), "Kind of Blue", "Miles Davis", seed=seed) for seed in (*range(12), 0)]
    pictures = [composition.drawn().tobytes() for composition in drawn if composition]
    assert pictures[0] == pictures[-1]
    assert len(set(pictures)) >= 4


def test_titles_are_colored_by_the_picture() -> None:
    navy_and_cream = flat(0)
    navy_and_cream[:] = (18, 36, 74)
    navy_and_cream[150:250, 150:250] = (247, 235, 208)
    for seed in range(8):
        composition = compose(navy_and_cream, "Low", "", seed=seed)
        assert composition is not None
        inks = np.array([(18, 36, 74), (247, 235, 208)])
        assert np.abs(inks - composition.color).max(-1).min() <= 6


def test_right_to_left_titles_begin_at_the_right_margin() -> None:
    composition = compose(flat(240), "שירים על הים והלילה", "", seed=1)
    if composition is None:
        pytest.skip("no font with Hebrew letters is installed")
    for line in composition.lines:
        assert line.box[2] == pytest.approx(0.93 * SIDE, abs=2)


def test_an_album_named_after_its_artist_has_the_name_once() -> None:
    composition = compose(flat(20), "Weezer", "WEEZER", seed=0)
    assert composition is not None
    assert [line.text for line in composition.lines] == ["Weezer"]


@pytest.mark.parametrize("title", ["", "\U0010fffd", "\u200b", "\u200d", "\u0301", "\u200c \ufe0f"])
def test_without_a_title_nothing_is_set(title: str) -> None:
    assert compose(flat(20), title, "David Bowie", seed=0) is None
