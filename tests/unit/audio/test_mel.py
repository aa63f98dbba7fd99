"""The log-mel, against ClapFeatureExtractor's own."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import ClapFeatureExtractor

from covergen.audio import mel
from covergen.audio.mel import MelSettings, make_log_mel
from tests.media import sound

SETTINGS = MelSettings(
    sampling_rate=48_000,
    feature_size=64,
    fft_window_size=1024,
    hop_length=480,
    frequency_min=50,
    frequency_max=14_000,
)


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
def test_it_is_what_clap_was_trained_on(waveform: NDArray[np.float32], tolerance: float) -> None:
    extractor = ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")
    expected = extractor(waveform, sampling_rate=48_000, return_tensors="np")["input_features"]
    log_mel = make_log_mel(SETTINGS, torch.device("cpu"))
    found = log_mel(torch.from_numpy(waveform)[None]).numpy()
    assert found.shape == expected.shape == (1, 1, 1001, 64)
    assert np.abs(found - expected).max() < tolerance


def test_a_batch_is_its_windows_one_by_one() -> None:
    waveforms = torch.from_numpy(np.stack([tone(220), tone(3_000)]))
    log_mel = make_log_mel(SETTINGS, torch.device("cpu"))
    assert torch.equal(
        log_mel(waveforms), torch.cat([log_mel(waveforms[:1]), log_mel(waveforms[1:])])
    )


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_where_it_is_computed_does_not_matter(device: str) -> None:
    """A device of its own takes torch's way: here its shape, and on the CPU its numbers."""
    waveforms = torch.from_numpy(np.stack([tone(220), tone(3_000)]))
    found = mel._with_torch(SETTINGS, torch.device(device))(waveforms.to(device))
    expected = make_log_mel(SETTINGS, torch.device("cpu"))(waveforms)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    if device == "cpu":
        assert torch.allclose(found, expected, atol=1e-5)


def test_other_settings_are_followed() -> None:
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
    found = make_log_mel(settings, torch.device("cpu"))(torch.from_numpy(waveform)[None]).numpy()
    assert np.abs(found - expected).max() < 1e-3


def test_bands_that_no_frequency_reaches_are_silent() -> None:
    settings = MelSettings(
        sampling_rate=48_000,
        feature_size=128,
        fft_window_size=256,
        hop_length=240,
        frequency_min=0,
        frequency_max=24_000,
    )
    waveforms = torch.from_numpy(tone(440))[None]
    with pytest.warns(UserWarning, match="mel filterbank"):
        log_mel = make_log_mel(settings, torch.device("cpu"))
    with pytest.warns(UserWarning, match="mel filterbank"):
        expected = mel._with_torch(settings, torch.device("cpu"))(waveforms)
    found = log_mel(waveforms)
    assert (found == -100).all(dim=2).any()
    assert torch.allclose(found, expected, atol=1e-5)
