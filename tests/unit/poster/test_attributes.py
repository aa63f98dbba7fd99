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


def test_same_seed_gives_same_attributes() -> None:
    assert draw_attributes(np.random.default_rng(7)) == draw_attributes(np.random.default_rng(7))


def test_a_row_holds_all_attributes() -> None:
    drawn = draw_attributes(np.random.default_rng(7))
    assert astuple(Attributes.from_row(drawn.row)) == pytest.approx(astuple(drawn))


def test_values_are_in_range_and_vary(drawn: dict[str, np.ndarray]) -> None:
    for name, values in drawn.items():
        low, high = (50, 180) if name == "tempo_bpm" else (0, 1)
        assert low <= values.min() < values.max() <= high
        assert values.std() > 0.15 * (high - low), "what hardly varies cannot be learned"


def test_arousal_and_valence_are_uniform_and_independent(drawn: dict[str, np.ndarray]) -> None:
    counts, _, _ = np.histogram2d(drawn["arousal"], drawn["valence"], bins=4, range=[[0, 1]] * 2)
    assert counts.min() > 80  # 125 expected in each of 16 cells


def test_attributes_correlate_with_mood(drawn: dict[str, np.ndarray]) -> None:
    rising = ("tempo_bpm", "loudness", "brightness", "density", "percussiveness", "roughness")
    expected = [(name, "arousal", 1) for name in rising]
    expected += [("dynamics", "arousal", -1), ("mode", "valence", 1), ("roughness", "valence", -1)]
    for name, dimension, sign in expected:
        assert 0.3 < sign * np.corrcoef(drawn[name], drawn[dimension])[0, 1] < 0.95, name
