"""The poster model: the mood probe, and the painter driven by it."""

from itertools import count
from pathlib import Path

import numpy as np
import pytest

from covergen.core.cover import PaintRequest, Sampling
from covergen.core.errors import AdapterError, Interrupted
from covergen.poster.model import MoodProbe, Poster, load_poster
from covergen.poster.painter.features import features

SAMPLING = Sampling(steps=1, guidance=1.0, scheduler="dpm++")


def linear_data(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings that are a noisy linear function of the attributes."""
    rng = np.random.default_rng(0)
    attributes = rng.uniform(size=(rows, 11)).astype(np.float32)
    vectors = attributes @ rng.normal(size=(11, 32)) + rng.normal(0, 0.3, (rows, 32))
    return vectors.astype(np.float32), attributes


def test_the_probe_predicts_unseen_attributes_with_their_standard_deviation() -> None:
    vectors, attributes = linear_data(2000)
    probe = MoodProbe.fit(vectors[:1500], attributes[:1500], ridge=1e-3)
    read = np.array([probe.read(vector).row for vector in vectors[1500:]])
    for k in range(11):
        assert np.corrcoef(read[:, k], attributes[1500:, k])[0, 1] > 0.8
    assert read.std(0) == pytest.approx(attributes[1500:].std(0), rel=0.15)


def test_a_probe_round_trips_through_its_file(tmp_path: Path) -> None:
    vectors, attributes = linear_data(200)
    probe = MoodProbe.fit(vectors, attributes, ridge=1e-3)
    (tmp_path / "mood.safetensors").write_bytes(probe.to_bytes())
    loaded = load_poster(tmp_path / "mood.safetensors", d_audio=32).probe
    assert np.array_equal(loaded.weight, probe.weight)
    assert np.array_equal(loaded.bias, probe.bias)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a mood probe"),
        (b"no tensors", "not a mood probe"),
        (b"\0" * 64, "not a mood probe"),
        (MoodProbe(weight=np.zeros((11, 8)), bias=np.zeros(11)).to_bytes(), "does not match"),
    ],
)
def test_a_file_without_a_fitting_probe_is_rejected(
    tmp_path: Path, data: bytes, message: str
) -> None:
    (tmp_path / "a.safetensors").write_bytes(data)
    with pytest.raises(AdapterError, match=message):
        load_poster(tmp_path / "a.safetensors", d_audio=32)


@pytest.fixture
def poster() -> Poster:
    """A poster model whose embeddings are (arousal - 0.5, valence - 0.5)."""
    weight = np.zeros((11, 2), np.float32)
    weight[0, 0] = weight[1, 1] = 1
    return Poster(probe=MoodProbe(weight=weight, bias=np.full(11, 0.5, np.float32)), sha256="")


def request(arousal: float, valence: float, seed: int) -> PaintRequest:
    return PaintRequest(vector=np.array([arousal - 0.5, valence - 0.5], np.float32), seed=seed)


def paint(poster: Poster, requests: list[PaintRequest], **options: object) -> list[np.ndarray]:
    batches = poster.paint_batches(
        requests, SAMPLING, batch_size=2, check_interrupted=lambda: None, **options
    )
    return [picture for batch in batches for picture in batch]


def test_pictures_follow_the_mood_and_do_not_depend_on_the_batch(poster: Poster) -> None:
    moods = [(0.05, 0.05), (0.05, 0.95), (0.95, 0.95)]
    requests = [request(*mood, seed=seed) for mood in moods for seed in range(3)]
    pictures = paint(poster, requests, size=128)
    assert {picture.shape for picture in pictures} == {(128, 128, 3)}
    assert np.array_equal(pictures[4], paint(poster, [requests[4]], size=128)[0])
    sad, serene, joyful = (
        np.mean([[f.lightness, f.b, f.chroma] for f in map(features, pictures[k : k + 3])], axis=0)
        for k in (0, 3, 6)
    )
    assert serene[0] > sad[0] + 25
    assert joyful[1] > sad[1] + 25
    assert joyful[2] > serene[2] + 10


def test_odd_sizes_and_the_default_size(poster: Poster) -> None:
    assert paint(poster, [request(0.5, 0.5, 1)])[0].shape == (1024, 1024, 3)
    assert paint(poster, [request(0.5, 0.5, 1)], size=301)[0].shape == (301, 301, 3)


def test_painting_can_be_interrupted(poster: Poster) -> None:
    calls = count()

    def check_interrupted() -> None:
        if next(calls) == 2:
            raise Interrupted

    batches = poster.paint_batches(
        [request(0.5, 0.5, seed) for seed in range(9)],
        SAMPLING,
        batch_size=2,
        check_interrupted=check_interrupted,
        size=64,
    )
    assert len(next(batches)) == 2
    with pytest.raises(Interrupted):
        next(batches)
