from dataclasses import replace

import numpy as np
import pytest

from covergen.core.color import cielab_from_linear, linear_from_oklab
from covergen.poster.attributes import Attributes, draw_attributes
from covergen.poster.painter import FAMILIES, VOCABULARY, Painting, paint
from covergen.poster.painter.features import Features, features
from covergen.poster.painter.palette import PALETTES
from covergen.starter.evaluation.agreement import explained, predict_held_out

NEUTRAL = Attributes(**{**dict.fromkeys(Attributes.__slots__, 0.5), "tempo_bpm": 110})
MOODS = {"sad": (0, 0), "serene": (0, 1), "angry": (1, 0), "joyful": (1, 1)}


def mood(arousal: float, valence: float) -> Attributes:
    return replace(NEUTRAL, arousal=arousal, valence=valence, density=arousal, loudness=arousal)


@pytest.fixture(scope="module")
def pieces() -> list[Attributes]:
    return [draw_attributes(np.random.default_rng([6, seed])) for seed in range(36)]


@pytest.fixture(scope="module")
def paintings(pieces: list[Attributes]) -> list[Painting]:
    return [
        paint(piece, np.random.default_rng([7, seed]), size=128)
        for seed, piece in enumerate(pieces)
    ]


@pytest.fixture(scope="module")
def corners() -> dict[str, list[Features]]:
    """The features of every family's picture for each extreme mood."""
    return {
        name: [
            features(paint(mood(*at), np.random.default_rng(seed), size=128, style=family).pixels)
            for family in FAMILIES
        ]
        for seed, (name, at) in enumerate(MOODS.items())
    }


def test_the_seed_determines_the_picture() -> None:
    one, same, other = (paint(NEUTRAL, np.random.default_rng(s), size=128) for s in (3, 3, 4))
    assert np.array_equal(one.pixels, same.pixels)
    assert one.caption == same.caption
    assert not np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_paints_the_same_picture_at_any_size(family: str) -> None:
    small, large = (
        paint(NEUTRAL, np.random.default_rng(5), size=size, style=family, grain=False)
        for size in (128, 256)
    )
    assert small.pixels.shape == (128, 128, 3)
    assert large.pixels.dtype == np.uint8
    assert small.caption == large.caption
    halved = large.pixels.reshape(128, 2, 128, 2, 3).mean((1, 3))
    # Edges fall on other pixels, so a small part of the picture may differ.
    assert (np.abs(halved - small.pixels).max(-1) > 40).mean() < 0.06


def test_no_family_paints_an_empty_picture_for_an_extreme_mood(
    corners: dict[str, list[Features]],
) -> None:
    for measured in corners.values():
        assert min(f.contrast for f in measured) > 3
        assert min(f.edge_density for f in measured) > -5.5


def test_color_and_form_follow_the_mood(corners: dict[str, list[Features]]) -> None:
    def mean(name: str, feature: str) -> float:
        return float(np.mean([getattr(f, feature) for f in corners[name]]))

    assert mean("serene", "lightness") > mean("sad", "lightness") + 30
    assert mean("joyful", "lightness") > mean("angry", "lightness") + 20
    assert mean("sad", "b") < -10 < 10 < mean("joyful", "b")
    assert mean("angry", "a") > mean("sad", "a") + 20
    assert mean("joyful", "a") > mean("serene", "a") + 10
    for calm, aroused in (("sad", "angry"), ("serene", "joyful")):
        assert mean(aroused, "chroma") > mean(calm, "chroma") + 10
        assert mean(aroused, "element_scale") > mean(calm, "element_scale") + 0.5
        assert mean(aroused, "edge_density") > mean(calm, "edge_density") + 0.5
        assert mean(aroused, "contrast") > mean(calm, "contrast")


def test_captions_use_the_vocabulary_and_start_with_the_family(paintings: list[Painting]) -> None:
    assert {painting.family for painting in paintings} == set(FAMILIES)
    for painting in paintings:
        assert painting.caption.split(", ")[0] == painting.family
        assert set(painting.caption.replace(",", "").split()) <= set(VOCABULARY)


def test_inks_of_every_palette_stand_out_from_the_ground() -> None:
    lab = cielab_from_linear(np.clip(linear_from_oklab(PALETTES), 0, 1))
    apart = np.linalg.norm(lab[:, 1:] - lab[:, :1], axis=2)  # CIE 1976 dE
    assert apart.max(axis=1).min() > 40
    assert np.sort(apart, axis=1)[:, 1].min() > 7


def test_the_music_explains_most_of_the_picture(
    pieces: list[Attributes], paintings: list[Painting]
) -> None:
    measured = [features(painting.pixels) for painting in paintings]
    inputs = np.array([(piece.arousal, piece.valence) for piece in pieces])
    outputs = np.array(
        [(f.lightness, f.chroma, f.a, f.b, f.edge_density, f.element_scale) for f in measured]
    )
    assert explained(predict_held_out(inputs, outputs), outputs).mean() > 0.6
