from dataclasses import replace

import numpy as np
import pytest

from covergen.core.color import cielab_from_linear, linear_from_oklab
from covergen.poster.attributes import Attributes, draw_attributes
from covergen.poster.painter import FAMILIES, VOCABULARY, paint
from covergen.poster.painter.caption import mirror
from covergen.poster.painter.features import features
from covergen.poster.painter.palette import PALETTES
from covergen.starter.evaluation.agreement import cross_validated_r2

PLAIN = Attributes(
    arousal=0.5,
    valence=0.5,
    tempo_bpm=110,
    mode=0.5,
    loudness=0.5,
    dynamics=0.5,
    brightness=0.5,
    density=0.5,
    roughness=0.5,
    rhythmicity=0.5,
    percussiveness=0.5,
)


def mood(arousal: float, valence: float) -> Attributes:
    return replace(PLAIN, arousal=arousal, valence=valence, density=arousal, loudness=arousal)


def test_same_seed_same_picture() -> None:
    first, second = (paint(PLAIN, np.random.default_rng(3), size=128) for _ in range(2))
    assert np.array_equal(first.pixels, second.pixels)
    assert first.caption == second.caption


def test_another_seed_another_picture() -> None:
    first, second = (paint(PLAIN, np.random.default_rng(seed), size=128) for seed in (1, 2))
    assert not np.array_equal(first.pixels, second.pixels)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_paints_the_same_picture_at_any_size(family: str) -> None:
    small, large = (
        paint(PLAIN, np.random.default_rng(5), size=size, family=family, grain=False)
        for size in (128, 256)
    )
    assert small.pixels.shape == (128, 128, 3)
    assert large.pixels.dtype == np.uint8
    assert small.caption == large.caption
    halved = large.pixels.reshape(128, 2, 128, 2, 3).mean((1, 3))
    # Edges fall on other pixels, so a small part of the picture may differ.
    assert (np.abs(halved - small.pixels).max(-1) > 40).mean() < 0.06


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_something_to_say_in_every_corner(family: str) -> None:
    pictures = [
        paint(mood(arousal, valence), np.random.default_rng(seed), size=128, family=family).pixels
        for seed, (arousal, valence) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)])
    ]
    for picture in pictures:
        assert features(picture).contrast > 3
        assert features(picture).edge_density > -5.5


def test_all_families_come_up() -> None:
    rng = np.random.default_rng(0)
    names = {paint(draw_attributes(rng), rng, size=32).family for _ in range(45)}
    assert names == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_captions_keep_to_the_vocabulary_and_begin_with_the_family(family: str) -> None:
    rng = np.random.default_rng(2)
    for _ in range(6):
        caption = paint(draw_attributes(rng), rng, size=32, family=family).caption
        assert caption.split(", ")[0] == family
        assert set(caption.replace(",", "").split()) <= set(VOCABULARY)


def test_captions_name_the_largest_colour_first() -> None:
    rng = np.random.default_rng(7)
    for _ in range(4):
        painting = paint(mood(0, 0), rng, size=64, family="record grooves")
        colors = painting.caption.split(", ")[-4].split(" and ")
        assert colors[0] in {
            "navy",
            "indigo",
            "petrol",
            "slate",
            "blue",
            "charcoal",
            "plum",
            "teal",
        }


def test_a_mirrored_caption_swaps_left_and_right_alone() -> None:
    caption = "cut paper, tunnel, low left, few, navy and blue"
    assert mirror(caption) == "cut paper, tunnel, low right, few, navy and blue"
    assert mirror(mirror(caption)) == caption


def test_grain_is_a_surface_that_can_be_left_out() -> None:
    rough = replace(PLAIN, roughness=1.0)
    paintings = ((seed, paint(rough, np.random.default_rng(seed), size=128)) for seed in range(9))
    seed, with_grain = next(pair for pair in paintings if pair[1].texture == "grain")
    without = paint(rough, np.random.default_rng(seed), size=128, grain=False)
    difference = with_grain.pixels.astype(float) - without.pixels
    assert 1 < difference.std() < 8
    assert abs(difference.mean()) < 1
    assert without.caption == with_grain.caption


def mean_features(arousal: float, valence: float) -> dict[str, float]:
    pictures = [
        features(paint(mood(arousal, valence), np.random.default_rng(seed), size=128).pixels)
        for seed in range(4)
    ]
    names = ("lightness", "chroma", "a", "b", "contrast", "edge_density", "element_scale")
    return {name: float(np.mean([getattr(f, name) for f in pictures])) for name in names}


def test_mood_speaks_through_colour_and_form() -> None:
    sad, angry, serene, joyful = (mean_features(*m) for m in ((0, 0), (1, 0), (0, 1), (1, 1)))
    assert serene["lightness"] > sad["lightness"] + 30
    assert joyful["lightness"] > angry["lightness"] + 20
    assert sad["b"] < -10 < 10 < joyful["b"]
    assert angry["a"] > sad["a"] + 20
    assert joyful["a"] > serene["a"] + 10
    assert angry["chroma"] > sad["chroma"] + 10
    assert joyful["chroma"] > serene["chroma"] + 10
    for calm, aroused in ((sad, angry), (serene, joyful)):
        assert aroused["element_scale"] > calm["element_scale"] + 0.5
        assert aroused["edge_density"] > calm["edge_density"] + 0.5
        assert aroused["contrast"] > calm["contrast"]


def test_inks_stand_out_from_the_ground_of_every_palette() -> None:
    lab = cielab_from_linear(np.clip(linear_from_oklab(PALETTES), 0, 1))
    apart = np.linalg.norm(lab[:, 1:] - lab[:, :1], axis=2)  # CIE 1976 dE
    assert apart.max(axis=1).min() > 40
    assert np.sort(apart, axis=1)[:, 1].min() > 7


def test_the_music_explains_most_of_the_picture() -> None:
    rng = np.random.default_rng(6)
    pieces = [draw_attributes(rng) for _ in range(80)]
    measured = [features(paint(piece, rng, size=128).pixels) for piece in pieces]
    inputs = np.array([(piece.arousal, piece.valence) for piece in pieces])
    outputs = np.array(
        [(f.lightness, f.chroma, f.a, f.b, f.edge_density, f.element_scale) for f in measured]
    )
    assert cross_validated_r2(inputs, outputs).mean() > 0.6
    shuffled = rng.permutation(outputs)
    assert cross_validated_r2(inputs, shuffled).mean() < 0.1
