"""Benchmark whether memory use grows with the library."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

import numpy as np

from tests.benchmarks.race import Figure
from tests.measured import at_home, covergen
from tests.tiny_base import make_tiny_adapter, make_tiny_base
from tests.tiny_clap import make_tiny_clap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.race import Row, Setting

__all__ = ["memory"]

_FEW, _MANY = 10, 10_000
_TRACKS_PER_ALBUM = 10
_SAMPLES = 4_800  # at 48 kHz; each track is padded to a whole window


def memory(setting: Setting) -> Iterator[Row]:
    """Tag a small and a large library, with a small model."""
    model = _model(setting.folder)
    peaks = {}
    for tracks in (_FEW, _MANY):
        library = setting.folder / f"{tracks} tracks"
        _make(library, tracks)
        home = at_home(setting.folder / f"home of {tracks}")
        peaks[tracks] = covergen("tag", *model, library, environment=home).peak_bytes / 1e6
    yield Figure(
        name=f"memory: peak of tag, {_MANY:,} tracks more than {_FEW}",
        value=peaks[_MANY] - peaks[_FEW],
        unit="MB",
        at_most=50,
        counts={f"peak with {tracks:,} tracks, MB": round(mb) for tracks, mb in peaks.items()},
    )


def _model(folder: Path) -> tuple[object, ...]:
    base = make_tiny_base(folder / "base")
    clap = make_tiny_clap(folder / "clap")
    adapter = make_tiny_adapter(folder / "adapter.safetensors", base)
    return "--base", base, "--clap", clap, "--adapter", adapter, "--steps", 2


def _make(library: Path, tracks: int) -> None:
    """Create tracks that all differ, so that none is found in the cache."""
    random = np.random.default_rng(tracks)
    for n in range(tracks):
        folder = library / f"Album {n // _TRACKS_PER_ALBUM}"
        folder.mkdir(parents=True, exist_ok=True)
        with wave.open(str(folder / f"{n % _TRACKS_PER_ALBUM + 1:02}.wav"), "wb") as file:
            file.setparams((1, 2, 48_000, 0, "NONE", ""))
            file.writeframes(random.integers(-9_000, 9_000, _SAMPLES, dtype=np.int16).tobytes())
