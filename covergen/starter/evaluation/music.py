"""Held-out music: played on instruments that training never hears, and heard by the tower."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.attributes import draw_attributes
from covergen.starter.musician import HELD_OUT, augment, play

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from covergen.audio.clap import Tower

__all__ = ["Music", "hear_music"]

_SEED = 77_000
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Music:
    """attributes: (N, 11); vectors: (N, excerpts, D) of unit length."""

    attributes: NDArray[np.float64]
    vectors: NDArray[np.float32]

    @property
    def mood(self) -> NDArray[np.float64]:
        """(N, 2): arousal and valence."""
        return self.attributes[:, :2]


def hear_music(tower: Tower, count: int, path: Path) -> Music:
    """`count` tracks, two excerpts of each; kept in `path` for this tower."""
    if path.exists():
        with np.load(path) as saved:
            if str(saved["tower"]) == tower.id and len(saved["attributes"]) >= count:
                return Music(saved["attributes"][:count], saved["vectors"][:count])
    rows, vectors = [], []
    for first in range(0, count, _AT_ONCE):
        excerpts = []
        for item in range(first, min(first + _AT_ONCE, count)):
            rng = np.random.default_rng([_SEED, item])
            attributes = draw_attributes(rng)
            rows.append(attributes.row)
            track = play(attributes, rng, instruments=HELD_OUT)
            excerpts += [augment(track, rng).mean(axis=0) for _ in range(2)]
        heard = tower.embed(tower.log_mel(np.stack(excerpts)))
        vectors.append(heard.reshape(len(excerpts) // 2, 2, -1))
    music = Music(np.array(rows), np.concatenate(vectors))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, attributes=music.attributes, vectors=music.vectors, tower=tower.id)
    return music
