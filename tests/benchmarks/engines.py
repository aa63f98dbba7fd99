"""Tag albums with the starter by either engine: `python -m tests.benchmarks.engines FOLDER ENGINE`.

ENGINE is local or ray, and --albums their number. The music is made in FOLDER, once: three tracks
of 12 s in each album, which all sound different.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import click

from tests.measured import at_home, covergen
from tests.media import encode

_TRACKS = 3


def make_music(folder: Path, albums: int) -> None:
    """Create the albums that are not in the folder yet."""
    for number in range(albums):
        album = folder / f"Album {number:03}"
        if album.exists():
            continue
        for track in range(_TRACKS):
            encode(
                album / f"{track}.flac",
                "flac",
                seconds=12,
                kind="melody",
                seed=_TRACKS * number + track,
                tags={"title": f"Song {track}", "artist": "Ana", "album": album.name},
            )


def main() -> None:
    """Print what a run takes; without ENGINE, only make the music."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("engine", nargs="?", choices=["local", "ray"])
    parser.add_argument("--albums", type=int, default=200)
    options = parser.parse_args()
    music = options.folder / f"music {options.albums}"
    make_music(music, options.albums)
    if options.engine is None:
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        library = shutil.copytree(music, Path(place) / "library")
        command = ("tag", "--yes", "--quiet", "--engine", options.engine, library)
        used = covergen(*command, environment={**at_home(Path(place)), "HOME": place})
    click.echo(
        f"{options.engine}: {options.albums} albums on {len(os.sched_getaffinity(0))} cores in"
        f" {used.seconds:.1f} s, {used.processor_seconds:.1f} s of processor;"
        f" the largest process held {used.peak_bytes >> 20:,} MiB"
    )


if __name__ == "__main__":
    main()
