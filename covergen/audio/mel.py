"""Waveforms to the log-mel spectrograms that CLAP's audio tower sees.

The numbers are those of transformers.ClapFeatureExtractor for audio no longer than a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LogMel", "MelSettings"]

_SMALLEST_POWER = 1e-10  # -100 dB
_FRAMES_AT_ONCE = 100  # they fit into a processor's cache, and are few calls


@dataclass(frozen=True, slots=True, kw_only=True)
class MelSettings:
    """The parameters of the spectrogram, named as in a CLAP folder's `preprocessor_config.json`.

    Frequencies in Hz, the others in samples, `feature_size` in mel bands.
    """

    sampling_rate: int
    feature_size: int
    fft_window_size: int
    hop_length: int
    frequency_min: float
    frequency_max: float


class LogMel:
    """The function from waveforms to decibels; it can be sent to other processes.

    It computes in the thread that calls it, and no other: torch's would wait for those that decode,
    and a product of matrices would have BLAS's join in. So each band is the sum of its own few
    frequencies.
    """

    def __init__(self, settings: MelSettings) -> None:
        import torch

        self._settings = settings
        size, bands = settings.fft_window_size, settings.feature_size
        self._window = torch.hann_window(size, dtype=torch.float64).numpy()
        filters = _filters(settings)
        self._count = len(filters)
        heard = filters.T != 0
        heard[:, 0] |= ~heard.any(axis=1)  # `reduceat` would give an empty band its neighbour's
        of_bands, self._frequencies = np.nonzero(heard)
        self._shares = filters[self._frequencies, of_bands]
        self._starts = np.searchsorted(of_bands, np.arange(bands))

    def __call__(self, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, S) to (B, 1, T, M).

        T is S / hop_length + 1 frames, M is feature_size: (B, 1, 1001, 64) for windows.
        """
        return np.stack([self._one(waveform) for waveform in waveforms])[:, np.newaxis]

    def _one(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        size, hop = self._settings.fft_window_size, self._settings.hop_length
        centred = np.pad(waveform, size // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(centred, size)[::hop]
        power = np.empty((len(frames), self._settings.feature_size))
        for at in range(0, len(frames), _FRAMES_AT_ONCE):
            few = slice(at, at + _FRAMES_AT_ONCE)
            spectrum = np.fft.rfft(frames[few] * self._window)[:, : self._count]
            squares = spectrum.real**2 + spectrum.imag**2
            shares = squares[:, self._frequencies] * self._shares
            power[few] = np.add.reduceat(shares, self._starts, axis=1)
        decibels = 10 * np.log10(np.maximum(power, _SMALLEST_POWER))
        return np.asarray(decibels, dtype=np.float32)


def _filters(settings: MelSettings) -> NDArray[np.float64]:
    """The bands' shares of each frequency up to the highest that one reaches, (F, M) float64.

    As in ClapFeatureExtractor: in float32 the quietest bands are blurred beside loud ones.
    """
    from torchaudio.functional import melscale_fbanks

    filters: NDArray[np.float64] = (
        melscale_fbanks(
            settings.fft_window_size // 2 + 1,
            settings.frequency_min,
            settings.frequency_max,
            settings.feature_size,
            settings.sampling_rate,
            norm="slaney",
            mel_scale="slaney",
        )
        .double()
        .numpy()
    )
    highest = int(settings.frequency_max * settings.fft_window_size / settings.sampling_rate)
    return filters[: highest + 1]
