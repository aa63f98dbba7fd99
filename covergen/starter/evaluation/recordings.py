"""Embed real recordings and measure their loudness and onset rate, to check the audio encoder.

Requires librosa, which is not a dependency of covergen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from covergen.audio.window_positions import SAMPLE_RATE_HZ
from covergen.audio.windows import read_excerpt
from covergen.core.errors import CovergenError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.audio.clap import AudioEncoder


_WINDOWS = 3
_SHORTEST_S = 20  # skip jingles
_QUIETEST = 1e-5  # relative to full scale
_ONSET_SAMPLE_RATE_HZ = 22_050  # librosa's default


@dataclass(frozen=True, slots=True)
class Recordings:
    """Recordings. vectors: (N, D), unit L2 norm; loudness: (N,) dBFS; onsets: (N,) per second."""

    vectors: NDArray[np.float32]
    loudness: NDArray[np.float64]
    onsets: NDArray[np.float64]


def embed_recordings(audio_encoder: AudioEncoder, files: Iterable[Path], path: Path) -> Recordings:
    """Measure and embed three windows of every decodable file. Cached in `path`."""
    if path.exists():
        with np.load(path) as saved:
            if str(saved["audio_encoder"]) == audio_encoder.id:
                return Recordings(saved["vectors"], saved["loudness"], saved["onsets"])
    vectors, loudness, onsets = [], [], []
    for file in sorted(files):
        try:
            windows = read_excerpt(file, _WINDOWS).decode()
        except CovergenError:
            continue
        if windows.size < _SHORTEST_S * SAMPLE_RATE_HZ:
            continue
        mean = audio_encoder.embed(audio_encoder.log_mel(windows)).mean(axis=0)
        vectors.append(mean / np.linalg.norm(mean))
        loudness.append(20 * np.log10(np.sqrt(np.mean(windows**2)) + _QUIETEST))
        onsets.append(_onset_rate(windows))
    recordings = Recordings(np.stack(vectors), np.array(loudness), np.array(onsets))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        vectors=recordings.vectors,
        loudness=recordings.loudness,
        onsets=recordings.onsets,
        audio_encoder=audio_encoder.id,
    )
    return recordings


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation of two measurements, (N,), without ties."""
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.intp]:
    return values.argsort().argsort()


def _onset_rate(windows: NDArray[np.float32]) -> float:
    """Return the onsets per second of windows, (N, 480000)."""
    from librosa import resample
    from librosa.onset import onset_detect

    samples = (
        resample(w, orig_sr=SAMPLE_RATE_HZ, target_sr=_ONSET_SAMPLE_RATE_HZ) for w in windows
    )
    count = sum(len(onset_detect(y=y, sr=_ONSET_SAMPLE_RATE_HZ)) for y in samples)
    return count / (windows.size / SAMPLE_RATE_HZ)
