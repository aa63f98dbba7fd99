"""Rates of a run: measured, saved for the next estimate, and never a reason to fail."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from covergen.core.album import Action, AlbumPlan
from covergen.core.reasons import Reason
from covergen.pipeline import time_estimate as estimate
from covergen.pipeline.time_estimate import Meter, Rates, load_rates, seconds_needed
from covergen.pipeline.totals import PlanTotals
from tests.values import make_album

_RATES = Rates(
    seconds_to_load=7.0, seconds_per_track=0.5, seconds_per_cover=5.0, bytes_per_cover=1000.0
)


class Clock:
    """A clock that advances only in `wait`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(estimate, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


@pytest.fixture
def rates_file(home: Path) -> Path:
    """The path of the rates file, in an existing folder."""
    file = home / "cache/covergen/rates.json"
    file.parent.mkdir(parents=True)
    return file


def _run(clock: Clock, meter: Meter) -> None:
    """Load for 7 s; embed (2 s), paint (5 s) and write (100 s) each of three albums."""

    def embedded() -> Iterator[int]:
        for album in range(3):
            clock.wait(2)
            yield album

    def painted(albums: Iterable[int]) -> Iterator[list[int]]:
        for album in albums:
            clock.wait(5)
            yield [album]

    with meter.loading():
        clock.wait(7)
    done = []
    for batch in meter.painted(painted(meter.embeddings(embedded()))):
        meter.cover_bytes += 1000
        clock.wait(100)
        done += batch
    assert done == [0, 1, 2]


def _measured() -> Meter:
    """The measurements of `_run`."""
    return Meter(
        loading_seconds=7, embedding_seconds=6, painting_seconds=15, covers=3, cover_bytes=3000
    )


def test_meter_counts_only_waiting_time(clock: Clock) -> None:
    meter = Meter()

    _run(clock, meter)

    assert meter == _measured()
    meter.save("model", embedded=12)
    # 6 s for 12 tracks; 21 s less the 6 s of embedding for 3 covers; 3000 bytes for 3 covers.
    assert load_rates("model") == _RATES


def test_rates_are_saved_per_key() -> None:
    _measured().save("one", embedded=12)
    _measured().save("two", embedded=6)
    _measured().save("one", embedded=3)

    assert load_rates("one") == replace(_RATES, seconds_per_track=2.0)
    assert load_rates("two") == replace(_RATES, seconds_per_track=1.0)
    assert load_rates("three") is None


def test_fully_cached_run_keeps_the_previous_embedding_rate() -> None:
    _measured().save("model", embedded=12)
    cached = Meter(loading_seconds=1, painting_seconds=30, covers=2, cover_bytes=10)

    cached.save("model", embedded=0)

    assert load_rates("model") == Rates(
        seconds_to_load=1, seconds_per_track=0.5, seconds_per_cover=15, bytes_per_cover=5
    )


def test_run_without_covers_saves_no_rates() -> None:
    _measured().save("model", embedded=12)

    Meter(loading_seconds=99, embedding_seconds=99, painting_seconds=99).save("model", embedded=12)

    assert load_rates("model") == _RATES


def test_estimate_counts_only_tracks_and_covers_to_paint() -> None:
    totals = PlanTotals()
    for tracks, action in ((4, Action.PAINT), (6, Action.PAINT), (99, Action.SKIP)):
        album = make_album(Path("/music"), *["a"] * tracks)
        totals.add(AlbumPlan(album=album, action=action, reason=Reason.NO_COVER))

    assert seconds_needed(totals, _RATES) == 7 + 10 * 0.5 + 2 * 5


# Damage and failed writes.


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"null",
        b"[1, 2]",
        b"3",
        b'{"model": null}',
        b'{"model": 3}',
        b'{"model": [1, 2, 3, 4]}',
        b'{"model": {}}',
        b'{"model": {"seconds_to_load": 1}}',
        json.dumps({"model": {**asdict(_RATES), "of_a_later_version": 1}}).encode(),
    ],
)
def test_damaged_rates_are_ignored_and_replaced(rates_file: Path, content: bytes) -> None:
    rates_file.write_bytes(content)
    assert load_rates("model") is None

    _measured().save("model", embedded=12)

    assert load_rates("model") == _RATES


def test_unwritable_cache_folder_is_not_an_error(home: Path) -> None:
    (home / "cache").write_bytes(b"a file where a folder should be")

    _measured().save("model", embedded=12)

    assert load_rates("model") is None
