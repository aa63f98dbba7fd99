"""Benchmark embedding with a full-size CLAP; the reference embeds one track at a time."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import ClapAudioConfig, ClapConfig, ClapModel, ClapTextConfig

from covergen.audio.clap import AudioEncoder
from covergen.audio.embed_tracks import embed_tracks
from covergen.audio.embedding_cache import EmbeddingCache
from covergen.audio.window_positions import WINDOW_SAMPLES
from covergen.core.album import TrackEmbedding
from tests.benchmarks.front import EXTRACTOR, WORKERS, reference_features
from tests.benchmarks.race import Figure, Race
from tests.benchmarks.songs import FORMATS, make_songs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from covergen.core.album import Track
    from tests.benchmarks.race import Row, Setting

__all__ = ["embed"]

_TRACKS = 64
_REFERENCE_TRACKS = 8


def embed(setting: Setting) -> Iterator[Row]:
    """Embed 64 tracks of four minutes, with one window each."""
    folder = _save_clap(setting.folder / "clap")
    tracks = make_songs(setting.folder / "songs", FORMATS["MP3 320k"], _TRACKS)
    device = torch.device(setting.device)
    ours = _Ours(folder, tracks, setting.folder, device)
    reference = ClapModel.from_pretrained(folder).to(device).eval()
    yield Race(
        name=f"embed: {_TRACKS} tracks of 4 minutes, full-size CLAP, 1 window",
        covergen=ours.run,
        reference=lambda: _reference(reference, tracks[:_REFERENCE_TRACKS], device),
        unit="tracks",
        units=_TRACKS,
        reference_units=_REFERENCE_TRACKS,
        at_least=3.5 if setting.device == "cpu" else None,
        rounds=3,
        warm_up=False,
    )
    yield Figure(
        name="embed: share of time that the audio encoder was busy",
        value=100 * ours.busy_seconds / ours.seconds,
        unit="%",
        at_least=90,
    )


class _Ours:
    """covergen's implementation, timing the audio encoder; each run starts with an empty cache."""

    def __init__(
        self, folder: Path, tracks: Sequence[Track], stores: Path, device: torch.device
    ) -> None:
        self._audio_encoder = AudioEncoder(folder, device=device, dtype=torch.float32)
        self.log_mel = self._audio_encoder.log_mel
        silence = np.zeros((1, WINDOW_SAMPLES), np.float32)
        self._audio_encoder.embed(self.log_mel(silence))  # loads the weights
        self._tracks = tracks
        self._stores = (stores / f"{n}.sqlite" for n in count())
        self.id = self._audio_encoder.id
        self.batch_size = self._audio_encoder.batch_size
        self.seconds = self.busy_seconds = 0.0

    def run(self) -> None:
        self.busy_seconds, start = 0.0, time.perf_counter()
        with closing(EmbeddingCache(next(self._stores))) as store:
            results = embed_tracks(
                self._tracks,
                self,  # type: ignore[arg-type]  # wraps an audio encoder
                store,
                windows=1,
                workers=WORKERS,
                check_interrupted=lambda: None,
            )
            assert sum(isinstance(one, TrackEmbedding) for one in results) == _TRACKS
        self.seconds = time.perf_counter() - start

    def load(self) -> None:
        """There is nothing to load."""

    def embed(self, log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
        start = time.perf_counter()
        vectors = self._audio_encoder.embed(log_mel)
        self.busy_seconds += time.perf_counter() - start
        return vectors


def _reference(model: ClapModel, tracks: Sequence[Track], device: torch.device) -> None:
    for track in tracks:
        (features,) = reference_features(track.path, 1)
        with torch.no_grad():
            model.get_audio_features(input_features=features.to(device))


def _save_clap(folder: Path) -> Path:
    """Save a CLAP of the size of laion/larger_clap_music_and_speech with random weights."""
    audio = ClapAudioConfig(
        patch_embeds_hidden_size=128,
        hidden_size=1024,
        depths=[2, 2, 12, 2],
        num_attention_heads=[4, 8, 16, 32],
        projection_dim=512,
    )
    config = ClapConfig(
        audio_config=audio.to_dict(), text_config=ClapTextConfig().to_dict(), projection_dim=512
    )
    ClapModel(config).save_pretrained(folder)
    EXTRACTOR.save_pretrained(folder)
    return folder
