"""Log-mel spectrograms, compared with ClapFeatureExtractor."""

import math
import pickle

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import ClapFeatureExtractor

from covergen.audio.mel import LogMel, MelSettings
from tests.media import sound
from tests.tiny_clap import LAION_MEL


def tone(frequency: float) -> NDArray[np.float32]:
    return np.sin(math.tau * frequency * np.arange(480_000) / 48_000).astype(np.float32)


@pytest.mark.parametrize(
    ("waveform", "tolerance"),
    [
        (sound("chord", 10, sample_rate=48_000, channels=1)[0], 1e-3),
        (sound("drums", 10, sample_rate=48_000, channels=1)[0], 1e-3),
        (sound("noise", 10, sample_rate=48_000, channels=1)[0], 1e-3),
        (np.zeros(480_000, np.float32), 1e-3),
        (tone(440), 0.1),
    ],
    ids=["chords", "drums", "noise", "silence", "tone"],
)
def test_log_mel_equals_clap_feature_extractor(
    waveform: NDArray[np.float32], tolerance: float
) -> None:
    extractor = ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")
    expected = extractor(waveform, sampling_rate=48_000, return_tensors="np")["input_features"]
    found = LogMel(LAION_MEL)(waveform[np.newaxis])
    assert found.shape == expected.shape == (1, 1, 1001, 64)
    assert np.abs(found - expected).max() < tolerance


def test_batch_equals_single_windows_also_after_pickling() -> None:
    waveforms = np.stack([tone(220), tone(3_000)])
    log_mel = LogMel(LAION_MEL)
    found = log_mel(waveforms)
    elsewhere = pickle.loads(pickle.dumps(log_mel))
    np.testing.assert_array_equal(found[:1], elsewhere(waveforms[:1]))
    np.testing.assert_array_equal(found[1:], elsewhere(waveforms[1:]))


def test_other_settings_equal_clap_feature_extractor() -> None:
    settings = MelSettings(
        sampling_rate=48_000,
        feature_size=32,
        fft_window_size=512,
        hop_length=240,
        frequency_min=0,
        frequency_max=20_000,
    )
    extractor = ClapFeatureExtractor(
        feature_size=32,
        fft_window_size=512,
        hop_length=240,
        frequency_min=0,
        frequency_max=20_000,
        truncation="rand_trunc",
    )
    waveform = sound("noise", 10, sample_rate=48_000, channels=1)[0]
    expected = extractor(waveform, sampling_rate=48_000, return_tensors="np")["input_features"]
    found = LogMel(settings)(waveform[np.newaxis])
    assert np.abs(found - expected).max() < 1e-3
