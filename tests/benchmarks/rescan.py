"""Benchmark repeated runs of `tag` over a large library with nothing to do."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from tests.benchmarks.race import Figure
from tests.measured import at_home, covergen
from tests.media import encode, picture_bytes, put_picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.race import Row, Setting

__all__ = ["rescan"]

_TRACKS = 100_000
_ALBUMS = 8_000
_ALBUMS_PER_ARTIST = 8
_ROUNDS = 5


def rescan(setting: Setting) -> Iterator[Row]:
    """Measure the first run, which reads every file, and later runs, which read none."""
    library = setting.folder / "library"
    _make(library)
    home = at_home(setting.folder)
    first = covergen("tag", library, environment=home)
    yield Figure(
        name=f"rescan: the first tag over {_TRACKS:,} covered tracks",
        value=_TRACKS / first.seconds,
        unit="files/s",
        at_least=2500,
        counts={"seconds": first.seconds, "processor seconds": first.processor_seconds},
    )
    again = [covergen("tag", library, environment=home) for _ in range(_ROUNDS)]
    yield Figure(
        name=f"rescan: tag again (median of {_ROUNDS})",
        value=statistics.median(used.seconds for used in again),
        unit="s",
        at_most=4,
        counts={
            "each": [round(used.seconds, 2) for used in again],
            "processor seconds": statistics.median(used.processor_seconds for used in again),
        },
    )
    yield Figure(
        name="rescan: peak memory of tag again",
        value=max(used.peak_bytes for used in again) / 1e6,
        unit="MB",
        at_most=300,
    )


def _make(library: Path) -> None:
    """Write copies of one small MP3; only the number of files matters."""
    library.mkdir()
    song = encode(library / "song.mp3", "mp3", seconds=0.05, tags={"artist": "A", "album": "B"})
    put_picture(song, "mp3", picture_bytes("png", 48, (10, 120, 40)))
    data = song.read_bytes()
    song.unlink()
    for n in range(_TRACKS):
        album = n * _ALBUMS // _TRACKS
        folder = library / f"Artist {album // _ALBUMS_PER_ARTIST}" / f"Album {album}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{n} - Title.mp3").write_bytes(data)
