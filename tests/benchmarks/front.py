"""Benchmark log-mel spectrograms from music files; the reference uses librosa."""

from __future__ import annotations

import os
import warnings
from contextlib import closing
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import librosa
import numpy as np
from transformers import ClapFeatureExtractor

from covergen.audio.embed_tracks import embed_tracks
from covergen.audio.embedding_cache import EmbeddingCache
from covergen.audio.mel import LogMel
from covergen.core.album import TrackEmbedding
from tests.benchmarks.race import Race
from tests.benchmarks.songs import FORMATS, make_songs
from tests.tiny_clap import LAION_MEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from covergen.core.album import Track
    from tests.benchmarks.race import Row, Setting

__all__ = ["EXTRACTOR", "WORKERS", "front", "reference_features"]

WORKERS = min(4, os.cpu_count() or 1)  # the default of `tag`
EXTRACTOR = ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")  # the reference's
_TRACKS = 64  # enough to make startup time negligible
_REFERENCE_TRACKS = 16
_GOALS = {1: 15.0, 3: 10.0}  # by number of windows
_RATE_HZ = 48_000


def front(setting: Setting) -> Iterator[Row]:
    """Measure each format with one window per track, like the reference, and with three.

    covergen uses several processes as in `tag`; the reference runs one track after another.
    """
    for name, kind in FORMATS.items():
        tracks = make_songs(setting.folder / kind.container, kind, _TRACKS)
        for windows, goal in _GOALS.items():
            yield Race(
                name=f"front: 4-minute tracks, {name}, {windows} of 10 s",
                covergen=_Front(tracks, setting.folder, windows).run,
                reference=partial(_reference, tracks[:_REFERENCE_TRACKS], windows),
                unit="tracks",
                units=_TRACKS,
                reference_units=_REFERENCE_TRACKS,
                at_least=goal,
                rounds=3,
            )


class _Front:
    """covergen's implementation without the audio encoder; each run starts with an empty cache."""

    id = "no tower"
    batch_size = 8

    def __init__(self, tracks: Sequence[Track], folder: Path, windows: int) -> None:
        self._tracks = tracks
        self._stores = (folder / f"{tracks[0].container} {windows} {n}.sqlite" for n in count())
        self._windows = windows
        self.log_mel = LogMel(LAION_MEL)

    def run(self) -> None:
        with closing(EmbeddingCache(next(self._stores))) as store:
            results = embed_tracks(
                self._tracks,
                self,  # type: ignore[arg-type]  # stands in for an audio encoder
                store,
                windows=self._windows,
                workers=WORKERS,
                check_interrupted=lambda: None,
            )
            assert all(isinstance(one, TrackEmbedding) for one in results)

    def load(self) -> None:
        """There is nothing to load."""

    def embed(self, log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
        assert log_mel.shape[1:] == (1, 1001, 64)
        return np.ones((len(log_mel), 1), dtype=np.float32)


def _reference(tracks: Sequence[Track], windows: int) -> None:
    for track in tracks:
        assert len(list(reference_features(track.path, windows))) == windows


def reference_features(path: Path, windows: int) -> Iterator[torch.Tensor]:
    """Decode the whole track; extract one random window, or several in order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa warns before falling back for AAC
        waveform, _ = librosa.load(path, sr=_RATE_HZ, mono=True)
    parts = [waveform] if windows == 1 else np.array_split(waveform, windows)
    for part in parts:
        features = EXTRACTOR(part, sampling_rate=_RATE_HZ, return_tensors="pt")
        yield features["input_features"]
