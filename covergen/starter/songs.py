"""The six albums of `covergen demo`, each with its own mood, played by the musician."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from covergen.poster.attributes import Attributes
from covergen.starter.musician import SAMPLE_RATE_HZ, play

if TYPE_CHECKING:
    from covergen.starter.musician.tones import Samples


_FADE_IN_SECONDS, _FADE_OUT_SECONDS = 0.02, 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """One track of an album: its number, title, length and music attributes."""

    number: int
    title: str
    seconds: float
    attributes: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class SongAlbum:
    """A fictitious album. `seed`, with the song's number, seeds the music of each song."""

    title: str
    artist: str
    date: str
    genre: str
    seed: int
    songs: tuple[Song, ...]


def render(album: SongAlbum, song: Song) -> Samples:
    """Synthesize a song: (2, samples) float32 at 48 kHz, peak < 1. Deterministic."""
    rng = np.random.default_rng([album.seed, song.number])
    return _fade(play(song.attributes, rng, seconds=song.seconds))


def _fade(samples: Samples) -> Samples:
    """Fade in without a click and fade out slowly."""
    time = np.arange(samples.shape[1], dtype=np.float32) / SAMPLE_RATE_HZ
    rise = np.clip(time / _FADE_IN_SECONDS, 0, 1)
    fall = np.clip((time[-1] - time) / _FADE_OUT_SECONDS, 0, 1)
    return np.asarray(samples * rise * np.sin(np.pi / 2 * fall) ** 2, np.float32)


def _song(number: int, title: str, seconds: float, mood: Attributes, **overrides: float) -> Song:
    """Return a song with the album's mood; keyword arguments override attributes."""
    return Song(number=number, title=title, seconds=seconds, attributes=replace(mood, **overrides))


_SORROW = Attributes(
    arousal=0.12,
    valence=0.12,
    tempo_bpm=62,
    mode=0.1,
    loudness=0.3,
    dynamics=0.6,
    brightness=0.22,
    density=0.2,
    roughness=0.1,
    rhythmicity=0.35,
    percussiveness=0.05,
)
_JOY = Attributes(
    arousal=0.75,
    valence=0.95,
    tempo_bpm=124,
    mode=0.95,
    loudness=0.75,
    dynamics=0.25,
    brightness=0.75,
    density=0.65,
    roughness=0.1,
    rhythmicity=0.9,
    percussiveness=0.5,
)
_ANGER = Attributes(
    arousal=0.97,
    valence=0.06,
    tempo_bpm=158,
    mode=0.1,
    loudness=0.98,
    dynamics=0.1,
    brightness=0.6,
    density=0.8,
    roughness=0.85,
    rhythmicity=0.85,
    percussiveness=0.7,
)
_TENDERNESS = Attributes(
    arousal=0.2,
    valence=0.85,
    tempo_bpm=78,
    mode=0.9,
    loudness=0.4,
    dynamics=0.45,
    brightness=0.5,
    density=0.35,
    roughness=0.05,
    rhythmicity=0.55,
    percussiveness=0.12,
)
_NIGHT = Attributes(
    arousal=0.62,
    valence=0.4,
    tempo_bpm=118,
    mode=0.3,
    loudness=0.7,
    dynamics=0.2,
    brightness=0.4,
    density=0.55,
    roughness=0.25,
    rhythmicity=0.98,
    percussiveness=0.7,
)
_STILLNESS = Attributes(
    arousal=0.05,
    valence=0.55,
    tempo_bpm=54,
    mode=0.6,
    loudness=0.25,
    dynamics=0.5,
    brightness=0.6,
    density=0.08,
    roughness=0.15,
    rhythmicity=0.1,
    percussiveness=0.02,
)

ALBUMS = (
    SongAlbum(
        title="Harbour Before Dawn",
        artist="Low Lanterns",
        date="2019-11-08",
        genre="Chamber",
        seed=1,
        songs=(
            _song(1, "Nobody on the Pier", 26, _SORROW),
            _song(2, "Letters Kept Dry", 22, _SORROW, tempo_bpm=70, density=0.3),
        ),
    ),
    SongAlbum(
        title="Paper Suns",
        artist="Kite Parade",
        date="2022-06-17",
        genre="Pop",
        seed=2,
        songs=(
            _song(1, "Lemonade Weather", 24, _JOY),
            _song(2, "Every Window Open", 22, _JOY, tempo_bpm=132, percussiveness=0.65),
            _song(3, "Bicycle Bells", 20, _JOY, tempo_bpm=112, arousal=0.65),
        ),
    ),
    SongAlbum(
        title="Iron Weather",
        artist="Vault Nine",
        date="2017-02-24",
        genre="Industrial",
        seed=3,
        songs=(
            _song(1, "Furnace Psalm", 22, _ANGER),
            _song(2, "Teeth of the Machine", 24, _ANGER, tempo_bpm=172, density=0.9),
        ),
    ),
    SongAlbum(
        title="Moss and Marble",
        artist="Ada Winterbourne",
        date="2020-04-03",
        genre="Folk",
        seed=4,
        songs=(
            _song(1, "Small Hours Garden", 26, _TENDERNESS),
            _song(2, "What the Brook Said", 22, _TENDERNESS, tempo_bpm=88, density=0.45),
        ),
    ),
    SongAlbum(
        title="Night Bus Geometry",
        artist="Sodium Grid",
        date="2023-09-29",
        genre="Techno",
        seed=5,
        songs=(
            _song(1, "Terminus", 24, _NIGHT),
            _song(2, "Every Light Is Amber", 24, _NIGHT, tempo_bpm=124, percussiveness=0.8),
        ),
    ),
    SongAlbum(
        title="Tidal Glass",
        artist="Oriel Fane",
        date="2021-01-15",
        genre="Ambient",
        seed=6,
        songs=(_song(1, "The Water Remembers Slowly", 30, _STILLNESS),),
    ),
)
