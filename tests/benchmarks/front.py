"""Music files to log-mel spectrograms, beside librosa and ClapFeatureExtractor."""

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

from covergen.audio.embed import embed_tracks
from covergen.audio.mel import LogMel
from covergen.audio.store import EmbeddingStore
from covergen.core.types import TrackEmbedding
from covergen.starter.recipe.models import MEL
from tests.benchmarks.race import Race
from tests.benchmarks.songs import FORMATS, make_songs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from covergen.core.types import Track
    from tests.benchmarks.race import Row, Setting

__all__ = ["EXTRACTOR", "WORKERS", "front", "heard_by_reference"]

WORKERS = min(4, os.cpu_count() or 1)  # as `tag` has unless told otherwise
EXTRACTOR = ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")  # the reference's
_TRACKS = 64  # so many that how a run begins and ends counts little
_REFERENCE_TRACKS = 16
_GOALS = {1: 15.0, 3: 10.0}  # by windows
_RATE_HZ = 48_000


def front(setting: Setting) -> Iterator[Row]:
    """Each kind of file, with as many windows as the reference takes, and with three on both sides.

    covergen works in processes as it does in `tag`; the reference takes one track after the other.
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
    """covergen's own way up to the tower; nothing is remembered from one run to the next."""

    id = "no tower"

    def __init__(self, tracks: Sequence[Track], folder: Path, windows: int) -> None:
        self._tracks = tracks
        self._stores = (folder / f"{tracks[0].container} {windows} {n}.sqlite" for n in count())
        self._windows = windows
        self.log_mel = LogMel(MEL)

    def run(self) -> None:
        with closing(EmbeddingStore(next(self._stores))) as store:
            heard = embed_tracks(
                self._tracks,
                self,  # type: ignore[arg-type]  # it hears, and that is all
                store,
                windows=self._windows,
                batch_size=8,
                workers=WORKERS,
                checkpoint=lambda: None,
            )
            assert all(isinstance(one, TrackEmbedding) for one in heard)

    def embed(self, log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
        assert log_mel.shape[1:] == (1, 1001, 64)
        return np.ones((len(log_mel), 1), dtype=np.float32)


def _reference(tracks: Sequence[Track], windows: int) -> None:
    for track in tracks:
        assert len(list(heard_by_reference(track.path, windows))) == windows


def heard_by_reference(path: Path, windows: int) -> Iterator[torch.Tensor]:
    """Decode the whole track, and take a window where the extractor likes, or several in order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa tries others before it decodes AAC
        waveform, _ = librosa.load(path, sr=_RATE_HZ, mono=True)
    parts = [waveform] if windows == 1 else np.array_split(waveform, windows)
    for part in parts:
        features = EXTRACTOR(part, sampling_rate=_RATE_HZ, return_tensors="pt")
        yield features["input_features"]
