from dataclasses import astuple, fields

import numpy as np
import pytest

from covergen.starter.attributes import Attributes, draw_attributes

NAMES = [field.name for field in fields(Attributes)]


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    table = np.array([astuple(draw_attributes(rng)) for _ in range(2000)])
    return dict(zip(NAMES, table.T, strict=True))


def test_same_seed_gives_same_attributes() -> None:
    assert draw_attributes(np.random.default_rng(7)) == draw_attributes(np.random.default_rng(7))


@pytest.mark.parametrize("name", NAMES)
def test_values_are_in_range_and_vary(drawn: dict[str, np.ndarray], name: str) -> None:
    low, high = (50, 180) if name == "tempo_bpm" else (0, 1)
    assert drawn[name].min() >= low
    assert drawn[name].max() <= high
    assert drawn[name].std() > 0.15, "an attribute that hardly varies cannot be learned"


def test_arousal_and_valence_are_uniform_and_independent(drawn: dict[str, np.ndarray]) -> None:
    counts, _, _ = np.histogram2d(drawn["arousal"], drawn["valence"], bins=4, range=[[0, 1]] * 2)
    assert counts.min() > 80  # 125 expected in each of 16 cells


@pytest.mark.parametrize(
    ("name", "dimension", "sign"),
    [
        ("tempo_bpm", "arousal", 1),
        ("loudness", "arousal", 1),
        ("brightness", "arousal", 1),
        ("density", "arousal", 1),
        ("percussiveness", "arousal", 1),
        ("dynamics", "arousal", -1),
        ("mode", "valence", 1),
        ("roughness", "arousal", 1),
        ("roughness", "valence", -1),
    ],
)
def test_attributes_correlate_with_mood(
    drawn: dict[str, np.ndarray], name: str, dimension: str, sign: int
) -> None:
    correlation = sign * np.corrcoef(drawn[name], drawn[dimension])[0, 1]
    assert 0.3 < correlation < 0.95


def test_row_scales_the_tempo_to_0_to_1() -> None:
    piece = draw_attributes(np.random.default_rng(1))
    assert piece.row[NAMES.index("tempo_bpm")] == pytest.approx((piece.tempo_bpm - 50) / 130)
    assert piece.row[0] == piece.arousal
