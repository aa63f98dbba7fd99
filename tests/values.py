"""Tracks, albums and provenances for tests in which their details do not matter."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from covergen.core.album import Album, Track
from covergen.core.cover import Provenance

__all__ = [
    "FULL_PROVENANCE",
    "PROVENANCE",
    "PROVENANCE_TEXTS",
    "make_album",
    "make_track",
    "track_at",
]

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

FULL_PROVENANCE = replace(
    PROVENANCE, guided_from=0.25, guided_until=0.75, reuse=2, finish="print", inks=5,
    style="cut paper", negative="letters", prompt="cut paper, dark blue", padding="silence",
    device="cuda", dtype="bf16", per="album", run_seed=12, title="full", painted_size=512,
    revision="cd" * 20, loras="/loras/woodcut × 0.5", vae="someone/vae",
)  # fmt: skip
PROVENANCE_TEXTS = {
    "version": "1.2.3",
    "model": "starter",
    "base": "/models/base",
    "clap": "someone/clap",
    "adapter": "abababababababababababababababababababababababababababababababab",
    "windows": "3",
    "seed": "9223372036854775807",
    "steps": "30",
    "guidance": "7.5",
    "scheduler": "dpm++",
    "album_key": "ärger|東京\n",
    "guided_from": "0.25",
    "guided_until": "0.75",
    "reuse": "2",
    "finish": "print",
    "inks": "5",
    "style": "cut paper",
    "negative": "letters",
    "prompt": "cut paper, dark blue",
    "padding": "silence",
    "device": "cuda",
    "dtype": "bf16",
    "per": "album",
    "run_seed": "12",
    "title": "full",
    "painted_size": "512",
    "revision": "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
    "loras": "/loras/woodcut × 0.5",
    "vae": "someone/vae",
}
"""The fields of FULL_PROVENANCE, as covers and JSON name and spell them."""


def make_track(path: Path, **fields: Any) -> Track:
    """An MP3 file without art, unless `fields` differ; the file need not exist."""
    defaults = {"size": 1, "mtime_ns": 1, "container": "mp3", "has_art": False}
    return Track(path=path, **defaults | fields)


def track_at(path: Path, container: str = "", **fields: Any) -> Track:
    """The track of a file on disk."""
    stat = path.stat()
    found = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "container": container}
    return make_track(path, **found | fields)


def make_album(folder: Path, *names: str, **fields: Any) -> Album:
    """An album of tracks with these names, or of the `tracks` in `fields`."""
    tracks = tuple(make_track(folder / name) for name in names)
    defaults = {"key": "key", "title": "", "artist": "", "date": "", "tracks": tracks}
    return Album(folder=folder, **defaults | fields)
