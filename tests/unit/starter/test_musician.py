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


def _mean(
    measure: Callable[[Sound], float], attributes: Attributes, instruments: InstrumentSet = TRAINING
) -> float:
    """Average a measure over pieces with the same attributes."""
    rngs = map(np.random.default_rng, range(100, 104))
    pieces = [play(attributes, rng, seconds=5, instruments=instruments) for rng in rngs]
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


def _loudness_range_db(samples: Sound) -> float:
    """Return the standard deviation of the level in blocks of 0.4 s."""
    mono = samples.mean(axis=0)
    stretches = mono[: mono.size // 19_200 * 19_200].reshape(-1, 19_200)
    return float(np.std(10 * np.log10(np.mean(stretches**2, axis=1) + 1e-9)))


def _flatness_db(samples: Sound) -> float:
    power = _power(samples)[1:600] + 1e-12
    return float(10 * np.median(np.log10(np.exp(np.log(power).mean(0)) / power.mean(0))))


def _onset_envelope(samples: Sound) -> NDArray[np.float32]:
    """Return the onset strength at 100 values per second."""
    return librosa.onset.onset_strength(
        y=samples.mean(axis=0), sr=SAMPLE_RATE_HZ, hop_length=480, fmax=14_000
    )


def _onsets_per_second(samples: Sound) -> float:
    envelope = _onset_envelope(samples)
    onsets = librosa.onset.onset_detect(onset_envelope=envelope, sr=SAMPLE_RATE_HZ, hop_length=480)
    return 100 * len(onsets) / envelope.size


def _autocorrelation(samples: Sound) -> NDArray[np.float64]:
    """Return the autocorrelation of the onset envelope in lags of 10 ms, 1 at lag 0."""
    envelope = _onset_envelope(samples).astype(np.float64)
    envelope -= envelope.mean()
    full = np.correlate(envelope, envelope, "full")[envelope.size - 1 :]
    return full / (full[0] * (1 - np.arange(full.size) / full.size))


def _pulse_clarity(samples: Sound) -> float:
    return float(_autocorrelation(samples)[25:250].max())


def _percussive_share(samples: Sound) -> float:
    magnitude = np.sqrt(_power(samples))[:400, ::2]  # below 9 kHz
    harmonic, percussive = librosa.decompose.hpss(magnitude)
    return float(np.sum(percussive**2) / np.sum(percussive**2 + harmonic**2))


def _is_major(samples: Sound) -> bool:
    """Return whether the best-fitting key profile (Krumhansl & Kessler 1982) is a major one."""
    chroma = librosa.feature.chroma_cqt(
        y=samples.mean(axis=0), sr=SAMPLE_RATE_HZ, hop_length=4096, fmin=65.406, n_octaves=5
    ).mean(axis=1)
    major = [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88]
    minor = [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17]
    fits = [
        max(np.corrcoef(np.roll(profile, tonic), chroma)[0, 1] for tonic in range(12))
        for profile in (major, minor)
    ]
    return bool(fits[0] > fits[1])


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


def test_peaks_are_limited_without_clipping() -> None:
    attributes = replace(NEUTRAL, loudness=1.0, dynamics=1.0, percussiveness=0.9)
    samples = play(attributes, np.random.default_rng(3))
    assert np.mean(np.abs(samples) > 0.999 * np.abs(samples).max()) < 1e-4


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


@BOTH
@pytest.mark.parametrize(
    ("name", "measure", "least"),
    [
        ("loudness", _rms_db, 6.0),
        ("brightness", _centroid_hz, 600.0),
        ("dynamics", _loudness_range_db, 0.4),
        ("density", _onsets_per_second, 0.8),
        ("roughness", _flatness_db, 2.5),
        ("percussiveness", _percussive_share, 0.02),
        ("rhythmicity", _pulse_clarity, 0.08),
    ],
)
def test_every_attribute_is_audible(
    name: str, measure: Callable[[Sound], float], least: float, instruments: InstrumentSet
) -> None:
    levels = (0.1, 0.55, 0.95) if name != "rhythmicity" else (0.2, 0.65, 0.95)
    low, middle, high = (
        _mean(measure, replace(NEUTRAL, **{name: level}), instruments) for level in levels
    )
    assert middle - low > least
    assert high - middle > least


@BOTH
@pytest.mark.parametrize("tempo_bpm", [66.0, 92.0, 150.0])
def test_onsets_repeat_at_the_tempo(tempo_bpm: float, instruments: InstrumentSet) -> None:
    at_beat, elsewhere = [], []
    for seed in range(2):
        attributes = replace(NEUTRAL, tempo_bpm=tempo_bpm, rhythmicity=0.95)
        samples = play(attributes, np.random.default_rng(seed), instruments=instruments)
        repeats = _autocorrelation(samples)
        lags = np.arange(repeats.size)
        beats = 6000 / tempo_bpm * np.array([2.0, 4.0])
        at_beat.append(np.interp(beats, lags, repeats).mean())
        wrong = [beats * training_loop for training_loop in (0.91, 0.955, 1.045, 1.09)]
        elsewhere.append(np.interp(wrong, lags, repeats).mean(axis=1).max())
    assert np.mean(at_beat) > 0.35
    assert np.mean(np.array(at_beat) - elsewhere) > 0.25


def test_mode_is_recognized_from_the_sound() -> None:
    tonal = replace(NEUTRAL, percussiveness=0.1, roughness=0.05)
    cheerful, sad = replace(tonal, mode=0.95, valence=0.8), replace(tonal, mode=0.05, valence=0.3)
    correct = [
        _is_major(play(attributes, np.random.default_rng(seed))) == major
        for attributes, major in ((cheerful, True), (sad, False))
        for seed in range(6)
    ]
    assert np.mean(correct) >= 0.8


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


def test_augmentation_varies_level_bandwidth_and_stereo_width() -> None:
    rng = np.random.default_rng(1)
    bright = replace(NEUTRAL, brightness=0.9, percussiveness=0.7)
    samples = play(bright, np.random.default_rng(2))
    augmented = [augment(samples, rng) for _ in range(24)]
    powers = [_power(a) for a in augmented]
    treble = [power[600:].sum() / power.sum() for power in powers]  # above 14 kHz
    widths = [np.std(a[0] - a[1]) / np.std(a[0] + a[1]) for a in augmented]
    assert np.ptp([_rms_db(a) for a in augmented]) > 6
    assert max(treble) > 100 * min(treble)
    assert max(widths) > 2 * min(widths)
