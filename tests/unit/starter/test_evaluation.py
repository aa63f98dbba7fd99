"""Metrics on synthetic data with known answers."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from covergen.core.color import cielab_from_linear, linear_from_srgb
from covergen.poster.attributes import Attributes
from covergen.starter.evaluation import metrics
from covergen.starter.evaluation.pictures import (
    EXPRESSED,
    Pictures,
    pictures_in_styles,
    sharpness,
)


def pictures_with(features: NDArray[np.float64]) -> Pictures:
    """Pictures of which only the features matter."""
    count = len(features)
    return Pictures(features, np.zeros(count), np.zeros((count, 128, 128, 3), np.uint8))


def mood(count: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(0, 1, (count, 2))


def test_agreement_is_the_share_of_variance_explained_by_mood() -> None:
    known = mood(4000)
    noise = np.random.default_rng(1).normal(0, 1, (4000, 7))
    signal = known[:, :1] + known[:, 1:] ** 2
    signal = (signal - signal.mean()) / signal.std()
    covers = pictures_with(np.sqrt(0.7) * signal + np.sqrt(0.3) * noise)
    figure, each = metrics.agreement(known, covers)
    assert figure.value == pytest.approx(0.7, abs=0.02)
    assert figure.low < 0.7 < figure.high
    assert figure.high - figure.low < 0.06
    assert each == pytest.approx(np.full(len(EXPRESSED), 0.7), abs=0.04)
    assert metrics.agreement(mood(4000, seed=9), covers)[0].value < 0.02


@pytest.mark.parametrize("variance", [0, 3])
def test_control_ratio_is_the_ratio_of_variances(variance: float) -> None:
    rng = np.random.default_rng(0)
    tracks = rng.normal(0, np.sqrt(variance), (600, 1, 7))
    rows = (tracks + rng.normal(0, 1, (600, 8, 7))).reshape(-1, 7)
    figure = metrics.control(pictures_with(rows), 8)
    assert figure.value == pytest.approx(variance, rel=0.08, abs=0.05)
    assert figure.count == 600


def test_near_duplicates_are_pairs_that_hardly_differ() -> None:
    rng = np.random.default_rng(0)
    thumbs = rng.integers(0, 256, (5, 128, 128, 3), dtype=np.uint8)
    thumbs[3] = np.clip(thumbs[1].astype(int) + 1, 0, 255)
    assert metrics.near_duplicates(Pictures(np.zeros((5, 7)), np.zeros(5), thumbs)) == 1


def disc(blur: float) -> NDArray[np.uint8]:
    """A white disc on black with an edge `blur` pixels wide."""
    rows, columns = np.indices((256, 256)) - 127.5
    inside = np.clip((60 - np.hypot(rows, columns)) / blur + 0.5, 0, 1)
    return np.repeat(np.uint8(255 * inside)[..., None], 3, axis=2)


def test_sharpness_depends_on_the_width_of_edges_but_not_on_their_number() -> None:
    assert sharpness(disc(8)) == pytest.approx(sharpness(disc(4)) / 2, rel=0.1)
    two = np.concatenate([disc(4), disc(4)], axis=1)
    assert sharpness(two) == pytest.approx(sharpness(disc(4)), rel=0.01)
    assert sharpness(np.full((128, 128, 3), 90, np.uint8)) == 0


def test_the_painter_paints_music_in_given_styles(tmp_path: Path) -> None:
    """Bands lie across most pictures; a record in the center looks the same when turned."""
    calm = Attributes.from_row([0.2, 0.6, *[0.4] * 9])
    styles = ["horizon landscape, bands", "record grooves, record, centred"]
    pictures = pictures_in_styles([calm] * 8, styles, 5, tmp_path / "pictures.npz")
    lightness = cielab_from_linear(linear_from_srgb(pictures.thumbs))[..., 0]
    by_row, by_column = lightness.mean(axis=2).var(axis=1), lightness.mean(axis=1).var(axis=1)
    assert np.median(by_row[::2]) > 10 * np.median(by_column[::2])
    assert by_row[1::2] == pytest.approx(by_column[1::2], rel=0.5)
