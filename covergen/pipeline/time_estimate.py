"""Estimate the time and space that a plan needs, from measurements of earlier runs."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from covergen.core.app_folders import cache_folder
from covergen.core.atomic_write import write_whole
from covergen.core.cover_encoding import Encoding

if TYPE_CHECKING:
    from covergen.pipeline.options import PaintOptions
    from covergen.pipeline.totals import PlanTotals


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Measured costs of embedding and painting on this machine."""

    seconds_to_load: float
    seconds_per_track: float
    seconds_per_cover: float
    bytes_per_cover: float


@dataclass(slots=True)
class Meter:
    """Measures a run: the number of covers, and the time spent waiting for each stage."""

    loading_seconds: float = 0.0
    embedding_seconds: float = 0.0
    painting_seconds: float = 0.0
    covers: int = 0
    cover_bytes: int = 0

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Measure how long the model takes to load."""
        start = time.perf_counter()
        yield
        self.loading_seconds = time.perf_counter() - start

    def embeddings(self, albums: Iterable[Item]) -> Iterator[Item]:
        """Pass on embedded albums, measuring the wait for each."""
        for album, seconds in _timed(albums):
            self.embedding_seconds += seconds
            yield album

    def painted(self, batches: Iterable[list[Item]]) -> Generator[list[Item]]:
        """Pass on batches of covers, counting covers and measuring the wait without embedding."""
        embedding = self.embedding_seconds
        for batch, seconds in _timed(batches):
            self.painting_seconds += seconds - (self.embedding_seconds - embedding)
            self.covers += len(batch)
            yield batch
            embedding = self.embedding_seconds

    def save(self, key: str, *, embedded: int) -> None:
        """Save the rates of this run, for the next plan with the same `key`.

        `embedded` is the number of tracks that were not cached; if 0, the previous rate is kept.
        """
        if not self.covers:
            return
        before = load_rates(key)
        previous = before.seconds_per_track if before else 0.0
        rates = Rates(
            seconds_to_load=self.loading_seconds,
            seconds_per_track=self.embedding_seconds / embedded if embedded else previous,
            seconds_per_cover=self.painting_seconds / self.covers,
            bytes_per_cover=self.cover_bytes / self.covers,
        )
        with suppress(OSError):  # a missing estimate must not fail the run
            _file().parent.mkdir(parents=True, exist_ok=True)
            write_whole(_file(), json.dumps({**_load(), key: asdict(rates)}).encode())


def _timed(items: Iterable[Item]) -> Iterator[tuple[Item, float]]:
    start = time.perf_counter()
    for item in items:
        yield item, time.perf_counter() - start
        start = time.perf_counter()


def seconds_needed(totals: PlanTotals, rates: Rates) -> float:
    """Return the seconds that a plan will take, assuming that no embedding is cached."""
    embedding = totals.tracks_to_embed * rates.seconds_per_track
    return rates.seconds_to_load + embedding + totals.covers * rates.seconds_per_cover


def rates_key(options: PaintOptions, encoding: Encoding) -> str:
    """Return a key for everything that rates depend on besides the machine."""
    preset = options.preset
    cluster = f" ray {options.ray.address}" if options.ray else ""
    return (
        f"{preset.base} {preset.clap} {preset.windows} {preset.sampling} {preset.vae}"
        f" {options.device} {options.dtype} {options.size} {encoding}{cluster}"
    )


def load_rates(key: str) -> Rates | None:
    """Return the rates of the last run with this key, or None if there is none."""
    try:
        return Rates(**{name: float(value) for name, value in _load()[key].items()})
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _load() -> dict[str, Any]:
    try:
        rates = json.loads(_file().read_text())
    except (OSError, ValueError):
        return {}
    return rates if isinstance(rates, dict) else {}


def _file() -> Path:
    return cache_folder() / "rates.json"
