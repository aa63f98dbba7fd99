from dataclasses import astuple, fields

import numpy as np
import pytest

from covergen.poster.attributes import Attributes, draw_attributes

NAMES = [field.name for field in fields(Attributes)]


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    table = np.array([astuple(draw_attributes(rng)) for _ in range(2000)])
    return dict(zip(NAMES, table.T, strict=True))


def test_same_seed_same_piece() -> None:
    assert draw_attributes(np.random.default_rng(7)) == draw_attributes(np.random.default_rng(7))


def test_ranges(drawn: dict[str, np.ndarray]) -> None:
    assert drawn["tempo_bpm"].min() >= 50
    assert drawn["tempo_bpm"].max() <= 180
    for name in set(NAMES) - {"tempo_bpm"}:
        values = drawn[name]
        assert values.min() >= 0
        assert values.max() <= 1
        assert values.std() > 0.15, "an attribute that hardly varies cannot be learnt"


def test_arousal_and_valence_fill_the_square_independently(drawn: dict[str, np.ndarray]) -> None:
    counts, _, _ = np.histogram2d(drawn["arousal"], drawn["valence"], bins=4, range=[[0, 1]] * 2)
    assert counts.min() > 80  # 125 expected in each of 16 cells


@pytest.mark.parametrize(
    ("name", "dimension", "sign"),
    [
        ("tempo_bpm", "arousal", 1),
        ("loudness", "arousal", 1),
        ("density", "arousal", 1),
        ("percussiveness", "arousal", 1),
        ("dynamics", "arousal", -1),
        ("mode", "valence", 1),
        ("roughness", "arousal", 1),
        ("roughness", "valence", -1),
    ],
)
def test_attributes_follow_mood_but_not_slavishly(
    drawn: dict[str, np.ndarray], name: str, dimension: str, sign: int
) -> None:
    correlation = sign * np.corrcoef(drawn[name], drawn[dimension])[0, 1]
    assert 0.3 < correlation < 0.95


def test_pace_is_tempo_from_0_to_1() -> None:
    piece = draw_attributes(np.random.default_rng(1))
    assert piece.pace == pytest.approx((piece.tempo_bpm - 50) / 130)
