"""Held-out music: played on instruments not used for training, and embedded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.attributes import draw_attributes
from covergen.starter.musician import HELD_OUT, augment, play

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.audio.clap import AudioEncoder


_SEED = 77_000
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Music:
    """Tracks as attributes, (N, 11), and embeddings, (N, excerpts, D), unit L2 norm."""

    attributes: NDArray[np.float64]
    vectors: NDArray[np.float32]


def embed_music(audio_encoder: AudioEncoder, count: int, path: Path) -> Music:
    """Play `count` tracks and embed two excerpts of each. Cached in `path` per encoder."""
    if path.exists():
        with np.load(path) as saved:
            if (
                str(saved["audio_encoder"]) == audio_encoder.id
                and len(saved["attributes"]) >= count
            ):
                return Music(saved["attributes"][:count], saved["vectors"][:count])
    rows, vectors = [], []
    for first in range(0, count, _BATCH):
        excerpts = []
        for item in range(first, min(first + _BATCH, count)):
            rng = np.random.default_rng([_SEED, item])
            attributes = draw_attributes(rng)
            rows.append(attributes.row)
            track = play(attributes, rng, instruments=HELD_OUT)
            excerpts += [augment(track, rng).mean(axis=0) for _ in range(2)]
        embedded = audio_encoder.embed(audio_encoder.log_mel(np.stack(excerpts)))
        vectors.append(embedded.reshape(len(excerpts) // 2, 2, -1))
    music = Music(np.array(rows), np.concatenate(vectors))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path, attributes=music.attributes, vectors=music.vectors, audio_encoder=audio_encoder.id
    )
    return music
