"""Waveforms to the log-mel spectrograms that CLAP's audio tower sees, batched, on any device.

The numbers are those of transformers.ClapFeatureExtractor for audio no longer than a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

__all__ = ["MelSettings", "make_log_mel"]

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


def make_log_mel(
    settings: MelSettings, device: torch.device
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function from (B, S) float32 waveforms on `device` to (B, 1, T, M) decibels.

    T is S / hop_length + 1 frames, M is feature_size: (B, 1, 1001, 64) float32 for a window.
    """
    # The processor is busy with decoding, for whose threads torch's own would wait.
    return _with_numpy(settings) if device.type == "cpu" else _with_torch(settings, device)


def _with_numpy(settings: MelSettings) -> Callable[[torch.Tensor], torch.Tensor]:
    """In the thread that calls it, and no other: a product of matrices would have BLAS's join in.

    So each band is the sum of its own few frequencies.
    """
    import numpy as np
    import torch

    size = settings.fft_window_size
    window = torch.hann_window(size, dtype=torch.float64).numpy()
    filters = _filters(settings).numpy()
    heard = filters.T != 0
    heard[:, 0] |= ~heard.any(axis=1)  # no band is without any, or `reduceat` takes a neighbour's
    bands, frequencies = np.nonzero(heard)
    shares = filters[frequencies, bands]
    starts = np.searchsorted(bands, np.arange(settings.feature_size))

    def log_mel(waveforms: torch.Tensor) -> torch.Tensor:
        centred = np.pad(waveforms.numpy(), ((0, 0), (size // 2,) * 2), mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(centred, size, axis=1)
        frames = frames[:, :: settings.hop_length]
        power = np.empty((*frames.shape[:2], settings.feature_size))
        for source, target in zip(frames, power, strict=True):
            for at in range(0, len(source), _FRAMES_AT_ONCE):
                few = slice(at, at + _FRAMES_AT_ONCE)
                spectrum = np.fft.rfft(source[few] * window)[:, : len(filters)]
                squares = spectrum.real**2 + spectrum.imag**2
                target[few] = np.add.reduceat(squares[:, frequencies] * shares, starts, axis=1)
        decibels = 10 * np.log10(np.maximum(power, _SMALLEST_POWER))
        return torch.from_numpy(decibels.astype(np.float32)[:, np.newaxis])

    return log_mel


def _with_torch(
    settings: MelSettings, device: torch.device
) -> Callable[[torch.Tensor], torch.Tensor]:
    import torch
    from torch.nn.functional import pad

    # MPS has no other. See `_filters` for why not everywhere.
    precision = torch.float32 if device.type == "mps" else torch.float64
    size = settings.fft_window_size
    window = torch.hann_window(size, dtype=precision, device=device)
    filters = _filters(settings).to(device, precision)

    def log_mel(waveforms: torch.Tensor) -> torch.Tensor:
        centred = pad(waveforms.to(precision)[:, None], (size // 2, size // 2), mode="reflect")
        frames = centred[:, 0].unfold(-1, size, settings.hop_length)
        spectrum = torch.fft.rfft(frames * window)[..., : len(filters)]
        power = (spectrum.real.square() + spectrum.imag.square()) @ filters
        return (10 * torch.log10(power.clamp(min=_SMALLEST_POWER))).float()[:, None]

    return log_mel


def _filters(settings: MelSettings) -> torch.Tensor:
    """The bands' shares of each frequency up to the highest that one reaches, (F, M) float64.

    As in ClapFeatureExtractor: in float32 the quietest bands are blurred beside loud ones.
    """
    from torchaudio.functional import melscale_fbanks

    filters: torch.Tensor = melscale_fbanks(
        settings.fft_window_size // 2 + 1,
        settings.frequency_min,
        settings.frequency_max,
        settings.feature_size,
        settings.sampling_rate,
        norm="slaney",
        mel_scale="slaney",
    ).double()
    highest = int(settings.frequency_max * settings.fft_window_size / settings.sampling_rate)
    return filters[: highest + 1]
