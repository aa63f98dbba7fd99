"""The figures on worlds whose answers are known."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from numpy.typing import NDArray

from covergen.poster.attributes import draw_attributes
from covergen.poster.painter import paint
from covergen.starter.evaluation import figures
from covergen.starter.evaluation.families import FamilyClassifier
from covergen.starter.evaluation.pictures import (
    EDGE_DENSITY,
    EXPRESSED,
    Pictures,
    measure,
    sharpness,
)


def pictures_of(features: NDArray[np.float64]) -> Pictures:
    """Pictures of which only the features matter."""
    count = len(features)
    return Pictures(features, np.zeros(count), np.zeros((count, 128, 128, 3), np.uint8))


def mood(count: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(0, 1, (count, 2))


def test_agreement_is_the_share_of_variance_that_the_mood_brings_in() -> None:
    known = mood(4000)
    noise = np.random.default_rng(1).normal(0, 1, (4000, 7))
    told = (known[:, :1] - 0.5) / np.sqrt(1 / 12)  # unit variance
    figure, each = figures.agreement(known, pictures_of(np.sqrt(0.7) * told + np.sqrt(0.3) * noise))
    assert figure.value == pytest.approx(0.7, abs=0.02)
    assert figure.low < 0.7 < figure.high
    assert figure.high - figure.low < 0.06
    assert each == pytest.approx(np.full(len(EXPRESSED), 0.7), abs=0.04)


def test_agreement_with_other_peoples_music_is_none() -> None:
    features = np.repeat(mood(500), 4, axis=1)[:, :7]
    assert figures.agreement(mood(500, seed=9), pictures_of(features))[0].value < 0.02


def test_control_ratio_is_the_ratio_of_the_variances() -> None:
    rng = np.random.default_rng(0)
    tracks = rng.normal(0, np.sqrt(3), (600, 1, 7))
    rows = (tracks + rng.normal(0, 1, (600, 8, 7))).reshape(-1, 7)
    figure = figures.control(pictures_of(rows), 8)
    assert figure.value == pytest.approx(3, rel=0.08)
    assert figure.count == 600


def test_covers_that_do_not_depend_on_the_track_have_no_control() -> None:
    rows = np.random.default_rng(0).normal(0, 1, (800, 7))
    assert figures.control(pictures_of(rows), 8).value == pytest.approx(0, abs=0.05)


def test_near_duplicates_are_pairs_that_hardly_differ() -> None:
    rng = np.random.default_rng(0)
    thumbs = rng.integers(0, 256, (5, 128, 128, 3), dtype=np.uint8)
    thumbs[3] = np.clip(thumbs[1].astype(int) + 1, 0, 255)
    assert figures.near_duplicates(Pictures(np.zeros((5, 7)), np.zeros(5), thumbs)) == 1


def disc(blur: float) -> NDArray[np.uint8]:
    """A white disc on black, of which the edge is `blur` pixels wide."""
    rows, columns = np.indices((256, 256)) - 127.5
    inside = np.clip((60 - np.hypot(rows, columns)) / blur + 0.5, 0, 1)
    return np.repeat(np.uint8(255 * inside)[..., None], 3, axis=2)


def test_sharpness_falls_with_the_width_of_edges_and_not_with_their_number() -> None:
    assert sharpness(disc(8)) == pytest.approx(sharpness(disc(4)) / 2, rel=0.1)
    two = np.concatenate([disc(4), disc(4)], axis=1)
    assert sharpness(two) == pytest.approx(sharpness(disc(4)), rel=0.01)
    assert sharpness(np.full((128, 128, 3), 90, np.uint8)) == 0


def test_empty_covers_are_those_with_next_to_no_edges() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (400, 7))
    own = pictures_of(rows)
    rows = rows.copy()
    rows[:3, EDGE_DENSITY] = rows[:, EDGE_DENSITY].min() - 1
    assert figures.empty_covers(pictures_of(rows[:100]), own) - 3 in (0, 1, 2, 3)
    assert figures.empty_covers(pictures_of(rows[3:4] + 9), own) == 0


def test_the_classifier_learns_to_tell_forms_apart() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.indices((128, 128))
    labels = np.arange(192) % 2
    waves = [np.sin((rows if label else columns) / rng.uniform(3, 9)) for label in labels]
    thumbs = np.stack([np.repeat(np.uint8(127 + 90 * w)[..., None], 3, axis=2) for w in waves])
    classifier = FamilyClassifier(2)
    classifier.fit(thumbs[:128], labels[:128])
    assert figures.recognised(classifier.predict(thumbs[128:]), labels[128:]).value > 0.75


@pytest.fixture(scope="module")
def painted() -> tuple[NDArray[np.float64], Pictures]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        rows, pixels = zip(*pool.map(paint_one, range(160), chunksize=8), strict=True)
    return np.array(rows), measure(pixels)


def paint_one(item: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    rng = np.random.default_rng([5, item])
    attributes = draw_attributes(rng)
    return attributes.row, paint(attributes, rng, size=128, grain=False).pixels


def test_the_painters_own_pictures_are_found_far_above_chance_and_shuffled_ones_at_chance(
    painted: tuple[NDArray[np.float64], Pictures],
) -> None:
    rows, pictures = painted
    known, unknown = slice(0, 96), slice(96, 160)
    probe = (rows[known], pictures[known])
    found = figures.retrieval(rows[unknown], pictures[unknown], *probe)
    assert found.value > 5 / 64
    assert found.count == 64
    shuffled = np.random.default_rng(0).permutation(64)
    assert figures.retrieval(rows[unknown][shuffled], pictures[unknown], *probe).value < 5 / 64


def test_closeness_is_least_between_sets_of_one_painter(
    painted: tuple[NDArray[np.float64], Pictures],
) -> None:
    _, pictures = painted
    one, other = pictures[slice(0, 80)], pictures[slice(80, 160)]
    darker = measure(other.thumbs // 2)
    floor = figures.closeness(one, other).value
    assert figures.closeness(darker, one).value > 2 * floor
    assert figures.closeness(one, one).value == pytest.approx(0, abs=1e-12)
