"""What a run costs: measured once, remembered for the next plan, and never worth a failure."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from covergen.core.reasons import Reason
from covergen.core.types import Action, Album, AlbumPlan, Track
from covergen.pipeline import estimate
from covergen.pipeline.estimate import Meter, Rates, load_rates, seconds_needed
from covergen.pipeline.events import PlanTotals

_RATES = Rates(
    seconds_to_load=7.0, seconds_per_track=0.5, seconds_per_cover=5.0, bytes_per_cover=1000.0
)


class Clock:
    """A clock that stands still while nobody waits."""

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
    """Where rates are kept; its folder is there."""
    file = home / "cache/covergen/rates.json"
    file.parent.mkdir(parents=True)
    return file


def _run(clock: Clock, meter: Meter) -> None:
    """Load for 7 s, hear three albums for 2 s each, paint each for 5 s, write each for 100 s."""

    def embedded() -> Iterator[int]:
        for album in range(3):
            clock.wait(2)
            yield album

    def painted(albums: Iterable[int]) -> Iterator[int]:
        for album in albums:
            clock.wait(5)
            yield album

    with meter.loading():
        clock.wait(7)
    done = []
    for cover in meter.painted(painted(meter.embeddings(embedded()))):
        meter.cover_bytes += 1000
        clock.wait(100)
        done.append(cover)
    assert done == [0, 1, 2]


def _measured() -> Meter:
    """What `_run` measures, without a clock."""
    return Meter(
        loading_seconds=7, embedding_seconds=6, total_seconds=21, covers=3, cover_bytes=3000
    )


def test_only_what_is_waited_for_is_measured(clock: Clock) -> None:
    meter = Meter()

    _run(clock, meter)

    assert meter == _measured()


def test_a_run_is_remembered(clock: Clock) -> None:
    meter = Meter()
    _run(clock, meter)

    meter.save("model", embedded=12)

    # 6 s for 12 tracks; 21 s less the 6 s of embedding for 3 covers; 3000 bytes for 3 covers.
    assert load_rates("model") == _RATES


def test_runs_of_different_kinds_are_remembered_side_by_side() -> None:
    _measured().save("one", embedded=12)
    _measured().save("two", embedded=6)
    _measured().save("one", embedded=3)

    assert load_rates("one") == replace(_RATES, seconds_per_track=2.0)
    assert load_rates("two") == replace(_RATES, seconds_per_track=1.0)
    assert load_rates("three") is None


def test_fully_cached_run_keeps_the_previous_embedding_rate() -> None:
    _measured().save("model", embedded=12)
    cached = Meter(loading_seconds=1, total_seconds=30, covers=2, cover_bytes=10)

    cached.save("model", embedded=0)

    assert load_rates("model") == Rates(
        seconds_to_load=1, seconds_per_track=0.5, seconds_per_cover=15, bytes_per_cover=5
    )


def test_fully_cached_first_run_saves_an_embedding_rate_of_zero() -> None:
    Meter(total_seconds=30, covers=2, cover_bytes=10).save("model", embedded=0)

    rates = load_rates("model")
    assert rates is not None
    assert rates.seconds_per_track == 0


def test_a_run_without_a_cover_tells_nothing() -> None:
    _measured().save("model", embedded=12)

    Meter(loading_seconds=99, embedding_seconds=99, total_seconds=99).save("model", embedded=12)

    assert load_rates("model") == _RATES


def test_a_plan_is_worth_what_it_hears_and_paints() -> None:
    totals = PlanTotals()
    for tracks, action in ((4, Action.PAINT), (6, Action.PAINT), (99, Action.SKIP)):
        album = Album(
            key="key",
            folder=Path("/music"),
            title="",
            artist="",
            date="",
            tracks=(
                Track(path=Path("/music/a"), size=1, mtime_ns=1, container="mp3", has_art=False),
            )
            * tracks,
        )
        totals.add(AlbumPlan(album=album, action=action, reason=Reason.NO_COVER))

    assert seconds_needed(totals, _RATES) == 7 + 10 * 0.5 + 2 * 5


# What may become of a file.


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
def test_rates_that_are_damaged_are_forgotten_and_measured_anew(
    rates_file: Path, content: bytes
) -> None:
    rates_file.write_bytes(content)
    assert load_rates("model") is None

    _measured().save("model", embedded=12)

    assert load_rates("model") == _RATES


def test_the_damage_of_one_harms_no_other(rates_file: Path) -> None:
    _measured().save("model", embedded=12)
    known = json.loads(rates_file.read_bytes())
    rates_file.write_text(json.dumps({"other": None, **known}))

    assert load_rates("other") is None
    assert load_rates("model") == _RATES


def test_rates_that_cannot_be_kept_stop_nothing(rates_file: Path) -> None:
    rates_file.mkdir()

    _measured().save("model", embedded=12)

    assert load_rates("model") is None


def test_a_cache_that_cannot_be_made_stops_nothing(home: Path) -> None:
    (home / "cache").write_bytes(b"a file where a folder should be")

    _measured().save("model", embedded=12)

    assert load_rates("model") is None


def test_a_save_that_fails_loses_nothing(rates_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _measured().save("model", embedded=12)

    def full(self: Path, text: str) -> int:
        self.write_bytes(text.encode()[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    _measured().save("model", embedded=3)

    assert load_rates("model") == _RATES
