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

    T is S / hop_length + 1 frames, M is feature_size: (B, 1, 1001, 64) for a window.
    """
    import torch
    from torchaudio.transforms import MelSpectrogram

    mel = MelSpectrogram(
        settings.sampling_rate,
        n_fft=settings.fft_window_size,
        hop_length=settings.hop_length,
        f_min=settings.frequency_min,
        f_max=settings.frequency_max,
        n_mels=settings.feature_size,
        power=2.0,
        norm="slaney",
        mel_scale="slaney",
    ).to(device)

    def log_mel(waveforms: torch.Tensor) -> torch.Tensor:
        power = mel(waveforms).clamp(min=_SMALLEST_POWER)
        return 10 * torch.log10(power).transpose(1, 2).unsqueeze(1)

    return log_mel
