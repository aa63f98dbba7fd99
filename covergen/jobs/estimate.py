"""How long a plan takes and how much space it needs, from what the last runs measured."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeVar

from covergen.core.paths import cache_folder
from covergen.core.types import Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from covergen.jobs.events import PlanTotals

__all__ = ["Meter", "Rates", "load_rates", "seconds_needed"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What one model cost on this machine when it last ran."""

    seconds_per_track: float
    seconds_per_cover: float
    bytes_per_cover: float


@dataclass(slots=True)
class Meter:
    """Measures a run: its covers, and what was waited for."""

    hearing_seconds: float = 0.0
    working_seconds: float = 0.0
    covers: int = 0
    cover_bytes: int = 0

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

    def save(self, model: str, *, heard: int) -> None:
        """Remember what `model` cost, for the next plan.

        `heard` tracks were embedded; where all was cached, what that cost before stands.
        """
        if not self.covers:
            return
        before = load_rates(model)
        hearing = before.seconds_per_track if before else 0.0
        rates = Rates(
            seconds_per_track=self.hearing_seconds / heard if heard else hearing,
            seconds_per_cover=(self.working_seconds - self.hearing_seconds) / self.covers,
            bytes_per_cover=self.cover_bytes / self.covers,
        )
        _save(model, rates)


def _timed(items: Iterable[Item]) -> Iterator[tuple[Item, float]]:
    begun = time.perf_counter()
    for item in items:
        yield item, time.perf_counter() - begun
        begun = time.perf_counter()


def seconds_needed(totals: PlanTotals, rates: Rates) -> float:
    """The time a plan will take, in seconds, as if no embedding were cached."""
    hearing = totals.tracks[Action.PAINT] * rates.seconds_per_track
    return hearing + totals.albums_to(Action.PAINT) * rates.seconds_per_cover


def load_rates(model: str) -> Rates | None:
    """What `model` cost last, or None where it never ran here."""
    try:
        return Rates(**json.loads(_file().read_text())[model])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _save(model: str, rates: Rates) -> None:
    try:
        known = json.loads(_file().read_text())
    except (OSError, ValueError):
        known = {}
    new = _file().with_suffix(".new")
    new.write_text(json.dumps({**known, model: asdict(rates)}))
    new.replace(_file())


def _file() -> Path:
    return cache_folder() / "rates.json"
