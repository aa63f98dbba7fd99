"""Whether the audio encoder hears real music as its loudness and onset rate suggest.

librosa measures both; it is not among covergen's dependencies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from covergen.audio.windows import SAMPLE_RATE_HZ, read_excerpt
from covergen.core.errors import CovergenError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from covergen.audio.clap import Tower

__all__ = ["Recordings", "hear_recordings", "rank_correlation"]

_WINDOWS = 3
_SHORTEST_S = 20  # what is shorter is a jingle
_QUIETEST = 1e-5  # of full scale
_ONSET_RATE_HZ = 22_050  # what librosa's settings are made for


@dataclass(frozen=True, slots=True)
class Recordings:
    """vectors: (N, D), unit L2 norm; loudness: (N,) dBFS; onsets: (N,) per second."""

    vectors: NDArray[np.float32]
    loudness: NDArray[np.float64]
    onsets: NDArray[np.float64]


def hear_recordings(tower: Tower, files: Iterable[Path], path: Path) -> Recordings:
    """Measure and embed three windows of every file that can be decoded; kept in `path`."""
    if path.exists():
        with np.load(path) as saved:
            if str(saved["tower"]) == tower.id:
                return Recordings(saved["vectors"], saved["loudness"], saved["onsets"])
    vectors, loudness, onsets = [], [], []
    for file in sorted(files):
        try:
            windows = read_excerpt(file, _WINDOWS).decode()
        except CovergenError:
            continue
        if windows.size < _SHORTEST_S * SAMPLE_RATE_HZ:
            continue
        mean = tower.embed(tower.log_mel(windows)).mean(axis=0)
        vectors.append(mean / np.linalg.norm(mean))
        loudness.append(20 * np.log10(np.sqrt(np.mean(windows**2)) + _QUIETEST))
        onsets.append(_onset_rate(windows))
    heard = Recordings(np.stack(vectors), np.array(loudness), np.array(onsets))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        vectors=heard.vectors,
        loudness=heard.loudness,
        onsets=heard.onsets,
        tower=tower.id,
    )
    return heard


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Spearman's, of two (N,) measurements without ties."""
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.intp]:
    return values.argsort().argsort()


def _onset_rate(windows: NDArray[np.float32]) -> float:
    """Onsets per second of (N, 480000) samples."""
    from librosa import resample
    from librosa.onset import onset_detect

    samples = (resample(w, orig_sr=SAMPLE_RATE_HZ, target_sr=_ONSET_RATE_HZ) for w in windows)
    count = sum(len(onset_detect(y=y, sr=_ONSET_RATE_HZ)) for y in samples)
    return count / (windows.size / SAMPLE_RATE_HZ)
