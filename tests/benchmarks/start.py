"""Benchmark startup time: of the command line, and of tagging a single album."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.benchmarks.race import Figure, Race
from tests.measured import at_home
from tests.media import encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.race import Row, Setting

__all__ = ["start"]

_ROUNDS = 5


def start(setting: Setting) -> Iterator[Row]:
    """Run `covergen --help` and `python -c "import click"`; tag an album with the starter."""
    yield Race(
        name='start: covergen --help, against python -c "import click"',
        covergen=partial(_python, "-m", "covergen", "--help"),
        reference=partial(_python, "-c", "import click"),
        unit="starts",
        at_most=2.5,
        rounds=21,
    )
    times = [_tag_album(setting.folder / str(number)) for number in range(_ROUNDS)]
    for index, end in enumerate(("the cover is written", "it exits")):
        seconds = statistics.median(both[index] for both in times)
        yield Figure(name=f"start: tag an album of 3 tracks until {end}", value=seconds, unit="s")


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)


def _tag_album(folder: Path) -> tuple[float, float]:
    """The seconds until the first track is written, and until the command exits."""
    tracks = [encode(folder / f"{n}.flac", "flac", seconds=30, seed=n) for n in range(3)]
    before = [track.stat().st_mtime_ns for track in tracks]
    begun, written = time.perf_counter(), 0.0
    process = subprocess.Popen(
        [sys.executable, "-m", "covergen", "tag", "--quiet", folder],
        env=at_home(folder / "home"),
        stdout=subprocess.DEVNULL,
    )
    while process.poll() is None:
        if not written and [track.stat().st_mtime_ns for track in tracks] != before:
            written = time.perf_counter() - begun
        time.sleep(0.01)
    assert process.returncode == 0
    return written, time.perf_counter() - begun
