"""Compute the log-mel spectrograms that CLAP's audio encoder expects.

Equal to transformers.ClapFeatureExtractor for audio no longer than a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


_MIN_POWER = 1e-10  # -100 dB
_BLOCK_FRAMES = 100  # small enough for the CPU cache, large enough to save calls


@dataclass(frozen=True, slots=True, kw_only=True)
class MelSettings:
    """The parameters of the spectrogram, named as in a CLAP folder's `preprocessor_config.json`.

    Frequencies are in Hz, lengths in samples, `feature_size` in mel bands. `truncation` selects the
    mel scale: Slaney's for "rand_trunc", HTK's for "fusion". `padding` extends audio shorter than a
    window: by repeating it ("repeatpad") or with silence ("pad").
    """

    sampling_rate: int
    feature_size: int
    fft_window_size: int
    hop_length: int
    frequency_min: float
    frequency_max: float
    truncation: str = "rand_trunc"
    padding: str = "repeatpad"


class LogMel:
    """A function from waveforms to log-mel spectrograms in decibels. Can be pickled."""

    def __init__(self, settings: MelSettings) -> None:
        import torch

        self._hop = settings.hop_length
        self._window = torch.hann_window(settings.fft_window_size, dtype=torch.float64).numpy()
        self._filters = _filters(settings)
        self.repeats = settings.padding == "repeatpad"

    def __call__(self, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (B, 1, T, M) float32 in dB. waveforms: (B, S) float32.

        T is S / hop_length + 1 frames, M is feature_size: (B, 1, 1001, 64) for windows of LAION's
        models.
        """
        return np.stack([self._decibels(waveform) for waveform in waveforms])[:, np.newaxis]

    def _decibels(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        size, (bins, bands) = len(self._window), self._filters.shape
        centered = np.pad(waveform, size // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(centered, size)[:: self._hop]
        power = np.empty((len(frames), bands))
        for at in range(0, len(frames), _BLOCK_FRAMES):
            block = slice(at, at + _BLOCK_FRAMES)
            spectrum = np.fft.rfft(frames[block] * self._window)[:, :bins]
            power[block] = (spectrum.real**2 + spectrum.imag**2) @ self._filters
        decibels = 10 * np.log10(np.maximum(power, _MIN_POWER))
        return np.asarray(decibels, dtype=np.float32)


def _filters(settings: MelSettings) -> NDArray[np.float64]:
    """Return the mel filter bank (F, M) float64, up to the highest frequency that is used.

    float64 as in ClapFeatureExtractor: in float32, quiet bands next to loud ones lose precision.
    """
    from torchaudio.functional import melscale_fbanks

    fusion = settings.truncation == "fusion"
    filters: NDArray[np.float64] = (
        melscale_fbanks(
            settings.fft_window_size // 2 + 1,
            settings.frequency_min,
            settings.frequency_max,
            settings.feature_size,
            settings.sampling_rate,
            norm=None if fusion else "slaney",
            mel_scale="htk" if fusion else "slaney",
        )
        .double()
        .numpy()
    )
    highest = int(settings.frequency_max * settings.fft_window_size / settings.sampling_rate)
    return filters[: highest + 1]
