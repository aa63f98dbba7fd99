"""How long a plan takes and how much space it needs, from what the last runs measured."""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from covergen.core.paths import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from covergen.core.picture import Encoding
    from covergen.pipeline.events import PlanTotals
    from covergen.pipeline.options import PaintOptions

__all__ = ["Meter", "Rates", "load_rates", "rates_key", "seconds_needed"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What hearing and painting cost on this machine when they last ran."""

    seconds_to_load: float
    seconds_per_track: float
    seconds_per_cover: float
    bytes_per_cover: float


@dataclass(slots=True)
class Meter:
    """Measures a run: its covers, and what was waited for."""

    loading_seconds: float = 0.0
    hearing_seconds: float = 0.0
    working_seconds: float = 0.0
    covers: int = 0
    cover_bytes: int = 0

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Measure how long the model takes to load."""
        begun = time.perf_counter()
        yield
        self.loading_seconds = time.perf_counter() - begun

    def hearing(self, albums: Iterable[Item]) -> Iterator[Item]:
        """Hand on albums, measuring how long their embeddings are waited for."""
        for album, seconds in _timed(albums):
            self.hearing_seconds += seconds
            yield album

    def working(self, covers: Iterable[Item]) -> Iterator[Item]:
        """Hand on covers, measuring how long they are waited for, hearing included."""
        for cover, seconds in _timed(covers):
            self.working_seconds += seconds
            self.covers += 1
            yield cover

    def save(self, key: str, *, heard: int) -> None:
        """Remember what a run cost, for the next plan with the same `key`.

        `heard` tracks were embedded; where all was cached, what that cost before stands.
        """
        if not self.covers:
            return
        before = load_rates(key)
        hearing = before.seconds_per_track if before else 0.0
        rates = Rates(
            seconds_to_load=self.loading_seconds,
            seconds_per_track=self.hearing_seconds / heard if heard else hearing,
            seconds_per_cover=(self.working_seconds - self.hearing_seconds) / self.covers,
            bytes_per_cover=self.cover_bytes / self.covers,
        )
        with suppress(OSError):  # an estimate is worth no failure
            _save({**_load(), key: asdict(rates)})


def _timed(items: Iterable[Item]) -> Iterator[tuple[Item, float]]:
    begun = time.perf_counter()
    for item in items:
        yield item, time.perf_counter() - begun
        begun = time.perf_counter()


def seconds_needed(totals: PlanTotals, rates: Rates) -> float:
    """The time a plan that paints will take, in seconds, as if no embedding were cached."""
    hearing = totals.heard * rates.seconds_per_track
    return rates.seconds_to_load + hearing + totals.covers * rates.seconds_per_cover


def rates_key(options: PaintOptions, encoding: Encoding) -> str:
    """What rates depend on, besides the machine."""
    preset = options.preset
    return (
        f"{preset.base} {preset.clap} {preset.windows} {preset.sampling}"
        f" {options.device} {options.dtype} {encoding.format} {encoding.size} {encoding.quality}"
    )


def load_rates(key: str) -> Rates | None:
    """What such a run cost last, or None where there was none yet."""
    try:
        rates = {name: float(value) for name, value in _load()[key].items()}
        return Rates(**rates) if all(map(math.isfinite, rates.values())) else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _load() -> dict[str, Any]:
    try:
        known = json.loads(_file().read_text())
    except (OSError, ValueError):
        known = {}
    return known if isinstance(known, dict) else {}


def _save(known: dict[str, Any]) -> None:
    new = _file().with_suffix(".new")
    new.parent.mkdir(parents=True, exist_ok=True)
    new.write_text(json.dumps(known))
    new.replace(_file())


def _file() -> Path:
    return cache_folder() / "rates.json"
