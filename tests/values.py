"""Tracks, albums and provenances for tests in which their details do not matter."""

from pathlib import Path
from typing import Any

from covergen.core.types import Album, Provenance, Track

__all__ = ["PROVENANCE", "make_album", "make_track"]

PROVENANCE = Provenance(
    version="1.2.3",
    model="starter",
    base="/models/base",
    clap="someone/clap",
    adapter="ab" * 32,
    windows=3,
    seed=2**63 - 1,
    steps=30,
    guidance=7.5,
    scheduler="dpm++",
    album_key="ärger|東京\n",
)


def make_track(path: Path, **fields: Any) -> Track:
    """An MP3 file without art, unless `fields` differ; the file need not exist."""
    defaults = {"size": 1, "mtime_ns": 1, "container": "mp3", "has_art": False}
    return Track(path=path, **defaults | fields)


def make_album(folder: Path, *names: str, **fields: Any) -> Album:
    """An album of tracks with these names, or of the `tracks` in `fields`."""
    tracks = tuple(make_track(folder / name) for name in names)
    defaults = {"key": "key", "title": "", "artist": "", "date": "", "tracks": tracks}
    return Album(folder=folder, **defaults | fields)
