"""The musician, checked with audio measures that are independent of the synthesis."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import librosa
import numpy as np
import pytest

from covergen.poster.attributes import Attributes, draw_attributes
from covergen.starter.musician import HELD_OUT, SAMPLE_RATE_HZ, TRAINING, augment, play

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from covergen.starter.musician import InstrumentSet

Sound = "NDArray[np.float32]"

NEUTRAL = replace(
    Attributes(**{**dict.fromkeys(Attributes.__slots__, 0.5), "tempo_bpm": 110}),
    mode=0.8,
    dynamics=0.3,
    roughness=0.2,
    rhythmicity=0.8,
)
BOTH = pytest.mark.parametrize("instruments", [TRAINING, HELD_OUT], ids=lambda s: s.name)


def _mean(measure: Callable[[Sound], float], attributes: Attributes) -> float:
    """Average a measure over pieces with the same attributes."""
    rngs = map(np.random.default_rng, range(100, 104))
    pieces = [play(attributes, rng, seconds=5) for rng in rngs]
    return float(np.mean([measure(piece) for piece in pieces]))


# Measures


def _power(samples: Sound) -> NDArray[np.float32]:
    """Return the power spectrogram of the mono mix, (1025, frames) at 50 frames per second."""
    return np.abs(librosa.stft(samples.mean(axis=0), n_fft=2048, hop_length=960)) ** 2


def _centroid_hz(samples: Sound) -> float:
    magnitude = np.sqrt(_power(samples))
    hertz = np.fft.rfftfreq(2048, 1 / SAMPLE_RATE_HZ)
    return float(np.median(hertz @ magnitude / (magnitude.sum(axis=0) + 1e-6)))


def _rms_db(samples: Sound) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def _onset_envelope(samples: Sound) -> NDArray[np.float32]:
    """Return the onset strength at 100 values per second."""
    return librosa.onset.onset_strength(
        y=samples.mean(axis=0), sr=SAMPLE_RATE_HZ, hop_length=480, fmax=14_000
    )


def _onsets_per_second(samples: Sound) -> float:
    envelope = _onset_envelope(samples)
    onsets = librosa.onset.onset_detect(onset_envelope=envelope, sr=SAMPLE_RATE_HZ, hop_length=480)
    return 100 * len(onsets) / envelope.size


# Sound


@BOTH
def test_a_piece_is_clean_stereo_sound(instruments: InstrumentSet) -> None:
    names = set(Attributes.__slots__) - {"tempo_bpm"}
    extremes = [
        Attributes(tempo_bpm=50 + 130 * end, **dict.fromkeys(names, end)) for end in (0.0, 1.0)
    ]
    for seed in range(8):
        rng = np.random.default_rng(seed)
        attributes = extremes[seed] if seed < 2 else draw_attributes(rng)
        samples = play(attributes, rng, seconds=5, instruments=instruments)
        assert samples.shape == (2, 240_000)
        assert samples.dtype == np.float32
        assert np.isfinite(samples).all()
        assert 0.02 < np.abs(samples).max() <= 1
        assert _rms_db(samples) > -40
        assert np.abs(samples.mean(axis=1)).max() < 1e-3
        middle, side = samples.sum(axis=0), samples[0] - samples[1]
        assert 0.0005 < np.mean(side**2) / np.mean(middle**2) < 1  # wide, but not out of phase


def test_the_seed_determines_the_piece_and_its_augmentation() -> None:
    one, same, other = (play(NEUTRAL, np.random.default_rng(s), seconds=4) for s in (5, 5, 6))
    assert np.array_equal(one, same)
    assert abs(np.corrcoef(one[0], other[0])[0, 1]) < 0.5
    augmented = [augment(one, np.random.default_rng(s)) for s in (5, 5, 6)]
    assert augmented[0].shape == one.shape  # shorter than an excerpt
    assert np.array_equal(augmented[0], augmented[1])
    assert not np.array_equal(augmented[0], augmented[2])


@pytest.mark.parametrize("seconds", [3.3, 25.0])
def test_a_piece_has_the_requested_length_and_plays_to_the_end(seconds: float) -> None:
    samples = play(NEUTRAL, np.random.default_rng(1), seconds=seconds)
    assert samples.shape == (2, round(seconds * SAMPLE_RATE_HZ))
    assert _rms_db(samples[:, -48_000:]) > _rms_db(samples) - 12


# Attributes


@pytest.mark.parametrize(
    ("name", "measure", "least"),
    [
        ("loudness", _rms_db, 6.0),
        ("brightness", _centroid_hz, 600.0),
        ("density", _onsets_per_second, 0.8),
    ],
)
def test_attributes_are_audible(name: str, measure: Callable[[Sound], float], least: float) -> None:
    low, middle, high = (
        _mean(measure, replace(NEUTRAL, **{name: level})) for level in (0.1, 0.55, 0.95)
    )
    assert middle - low > least
    assert high - middle > least


# Augmentation


def _profile(samples: Sound) -> NDArray[np.float64]:
    """Return the mean spectrum in dB in 30 bands from 80 Hz to 5 kHz."""
    power = np.abs(np.fft.rfft(samples.mean(axis=0).astype(np.float64))) ** 2
    hertz = np.fft.rfftfreq(samples.shape[1], 1 / SAMPLE_RATE_HZ)
    edges = np.searchsorted(hertz, np.geomspace(80, 5000, 31))
    return 10 * np.log10(np.add.reduceat(power, edges)[:30])


def test_augmentation_keeps_ten_seconds_of_a_recognizable_piece() -> None:
    rng = np.random.default_rng(0)
    pieces = [play(draw_attributes(rng), rng) for _ in range(6)]
    profiles = np.array([_profile(piece) for piece in pieces])
    for number, piece in enumerate(pieces):
        augmented = augment(piece, rng)
        assert augmented.shape == (2, 480_000)
        assert augmented.dtype == np.float32
        assert np.isfinite(augmented).all()
        assert np.abs(augmented).max() <= 1
        likeness = np.corrcoef(profiles, _profile(augmented))[-1, :-1]
        assert likeness.argmax() == number
        assert likeness[number] > 0.75


def test_no_instrument_is_in_both_sets() -> None:
    parts = ("leads", "keys", "pads", "basses", "kits", "textures")
    training, held_out = (
        {maker for part in parts for maker in getattr(instruments, part)}
        for instruments in (TRAINING, HELD_OUT)
    )
    assert not training & held_out
