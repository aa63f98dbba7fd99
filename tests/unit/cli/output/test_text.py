"""Lines for people: safe to print, one line each, and their figures right."""

from dataclasses import replace
from pathlib import Path

import click
import pytest

from covergen.cli.output import text as lines
from covergen.core.picture import Encoding
from covergen.core.reasons import Reason
from covergen.core.types import Action, Album, AlbumPlan, Outcome, Status, Track
from covergen.pipeline.estimate import Rates
from covergen.pipeline.events import AlbumDone, FileFailed, PlanTotals, Tally
from covergen.pipeline.options import WriteOptions

_FOLDER = Path("/music/Folder Name")


def _album(tracks: int = 2, *, artist: str = "Ada", title: str = "Rye", date: str = "") -> Album:
    return Album(
        key="key",
        folder=_FOLDER,
        title=title,
        artist=artist,
        date=date,
        tracks=tuple(
            Track(path=_FOLDER / f"{n}.mp3", size=1, mtime_ns=1, container="mp3", has_art=False)
            for n in range(tracks)
        ),
    )


def _plan(
    album: Album, action: Action = Action.PAINT, reason: Reason = Reason.NO_COVER
) -> AlbumPlan:
    targets = () if action is Action.SKIP else album.tracks
    return AlbumPlan(album=album, action=action, reason=reason, targets=targets)


def _outcome(status: Status, reason: Reason, message: str = "") -> Outcome:
    return Outcome(path=_FOLDER / "0.mp3", status=status, reason=reason, message=message)


_WRITTEN = _outcome(Status.WRITTEN, Reason.WRITTEN)
_BROKEN = _outcome(Status.FAILED, Reason.UNDECODABLE, "no frame")


# Names.


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("Große Fuge – 東京 🎧", "Große Fuge – 東京 🎧"),
        ("two\nlines\r\ttab", "two\\nlines\\r\\ttab"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("line\u2028paragraph\u2029", "line\\u2028paragraph\\u2029"),
        ("right\u202eleft", "right\\u202eleft"),
        ("Cr\udce8me", "Cr\\xe8me"),
        ("\udc80\udcff", "\\x80\\xff"),
        ("lone \ud800", "lone \\ud800"),
        ("", ""),
    ],
)
def test_a_name_is_made_safe_to_print(name: str, printed: str) -> None:
    assert lines.shown(name) == printed
    lines.shown(name).encode()


def test_a_path_is_a_name_too() -> None:
    assert lines.shown(Path("/music/a\nb")) == "/music/a\\nb"


def test_what_is_to_be_kept_is_kept() -> None:
    assert lines.shown("one\ntwo\x1b", keep="\n") == "one\ntwo\\x1b"


# Albums.


def test_the_line_of_a_planned_album() -> None:
    line = click.unstyle(lines.plan_line(_plan(_album(date="1997-05-21"))))

    assert line.split() == ["paint", "no-cover", "2", "tracks", "Ada", "–", "Rye", "(1997)"]


@pytest.mark.parametrize(
    ("album", "named"),
    [
        (_album(1), "1 track  Ada – Rye"),
        (_album(1, artist=""), "1 track  Rye"),
        (_album(1, title=""), "1 track  Ada – Folder Name"),
        (_album(1, artist="", title=""), "1 track  Folder Name"),
        (_album(0, date="2001"), "0 tracks  Ada – Rye (2001)"),
        (_album(1234), "1,234 tracks  Ada – Rye"),
        (_album(1, title="two\nlines\x1b[2J", date="\x07"), "Ada – two\\nlines\\x1b[2J (\\x07)"),
    ],
)
def test_how_an_album_is_named(album: Album, named: str) -> None:
    assert click.unstyle(lines.plan_line(_plan(album))).endswith(named)


@pytest.mark.parametrize(
    ("action", "outcomes", "result"),
    [
        (Action.PAINT, (_WRITTEN,), "painted"),
        (Action.PAINT, (_WRITTEN, _BROKEN), "partly"),
        (Action.PAINT, (_BROKEN,), "failed"),
        (Action.FILL, (_WRITTEN,), "filled"),
        (Action.SKIP, (), "skipped"),
    ],
)
def test_the_line_of_a_finished_album(
    action: Action, outcomes: tuple[Outcome, ...], result: str
) -> None:
    plan = _plan(_album(), action, Reason.FORCED)
    done = AlbumDone(plan=plan, reason=plan.reason, outcomes=outcomes)

    line = click.unstyle(lines.album_line(done))

    assert line.split() == [result, "forced", "2", "tracks", "Ada", "–", "Rye"]


def test_albums_stand_in_columns() -> None:
    shown = [
        click.unstyle(lines.plan_line(_plan(_album(tracks), action, reason)))
        for tracks, action, reason in (
            (1, Action.PAINT, Reason.NO_COVER),
            (12, Action.SKIP, Reason.SHARED_FOLDER),
            (100, Action.FILL, Reason.FILLED),
        )
    ]
    assert len({line.index("Ada") for line in shown}) == 1


# Files.


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (_BROKEN, ["failed", "undecodable", "/music/Folder Name/0.mp3: no frame"]),
        (_WRITTEN, ["written", "/music/Folder Name/0.mp3"]),
        (
            _outcome(Status.WRITTEN, Reason.WRITTEN, "a note"),
            ["written", "/music/Folder Name/0.mp3: a note"],
        ),
        (
            _outcome(Status.SKIPPED, Reason.HARD_LINKED),
            [
                "skipped",
                "hard-linked",
                "/music/Folder Name/0.mp3: has several hard links: see --hardlinks",
            ],
        ),
        (
            Outcome(
                path=Path("/a\nb"), status=Status.FAILED, reason=Reason.IO_ERROR, message="c\nd"
            ),
            ["failed", "io-error", "/a\\nb: c\\nd"],
        ),
    ],
)
def test_the_line_of_a_file(outcome: Outcome, told: list[str]) -> None:
    line = click.unstyle(lines.outcome_line(outcome))

    assert line.split(maxsplit=len(told) - 1) == told


# Sums.


def test_a_plan_adds_up() -> None:
    totals = PlanTotals()
    for tracks in (3, 1000):
        totals.add(_plan(_album(tracks)))
    totals.add(_plan(_album(5), Action.SKIP, Reason.HAS_ART))
    totals.add(_plan(_album(7), Action.SKIP, Reason.LIMIT))
    totals.add(_outcome(Status.FAILED, Reason.NOT_AUDIO))

    assert [" ".join(line.split()) for line in lines.totals_lines(totals)] == [
        "paint 2 albums 1,003 files no cover yet",
        "skip 1 album 5 files already has a cover",
        "skip 1 album 7 files past --limit",
        "failed 1 file no audio file, whatever its name says",
    ]


def test_a_plan_tells_that_wma_gets_small_covers() -> None:
    album = _album(3)
    wma = tuple(replace(track, container="asf") for track in album.tracks[:2])
    totals = PlanTotals()
    totals.add(_plan(replace(album, tracks=(*wma, album.tracks[2]))))

    *_, told = lines.totals_lines(totals)

    assert "2 WMA files" in told
    assert "64 KiB" in told


def test_files_that_cannot_hold_a_cover_are_counted_by_kind() -> None:
    totals, tally = PlanTotals(), Tally()
    for name in ("1.aac", "2.AAC", "3.ac3"):
        outcome = Outcome(path=_FOLDER / name, status=Status.SKIPPED, reason=Reason.BARE)
        totals.add(outcome)
        tally.add(FileFailed(outcome=outcome))

    told = "skipped 3 files of a kind that cannot hold a cover: .aac (2), .ac3 (1)"
    for summed in (lines.totals_lines(totals), lines.tally_lines(tally)):
        assert [" ".join(line.split()) for line in summed] == [told]


def test_a_run_adds_up() -> None:
    tally = Tally()
    plan = _plan(_album())
    for outcomes in ((_WRITTEN, _WRITTEN), (_WRITTEN, _BROKEN)):
        tally.add(AlbumDone(plan=plan, reason=plan.reason, outcomes=outcomes))
    tally.add(FileFailed(outcome=_outcome(Status.FAILED, Reason.NOT_AUDIO)))

    assert [" ".join(line.split()) for line in lines.tally_lines(tally)] == [
        "painted 1 album no cover yet",
        "partly 1 album no cover yet",
        "failed 1 file no audio file, whatever its name says",
        "failed 1 file its audio cannot be decoded",
        "written 3 files the cover is in the file",
    ]


def test_sums_stand_in_columns() -> None:
    tally = Tally()
    unchanged = _outcome(Status.UNCHANGED, Reason.EQUAL)
    for reason, count in ((Reason.NO_COVER, 1), (Reason.FORCED, 12)):
        for _ in range(count):
            outcomes = (_WRITTEN, unchanged)
            tally.add(AlbumDone(plan=_plan(_album()), reason=reason, outcomes=outcomes))
    shown = list(lines.tally_lines(tally))

    assert [line.split()[0] for line in shown] == ["painted", "painted", "unchanged", "written"]
    texts = (
        Reason.FORCED.text,
        Reason.NO_COVER.text,
        Reason.EQUAL.text,
        Reason.WRITTEN.text,
    )
    assert len({line.index(text) for line, text in zip(shown, texts, strict=True)}) == 1


def test_nothing_adds_up_to_no_lines() -> None:
    assert list(lines.totals_lines(PlanTotals())) == []
    assert list(lines.tally_lines(Tally())) == []


# Costs.


def _two_albums() -> PlanTotals:
    """Two covers for ten tracks, and an album that is skipped."""
    totals = PlanTotals()
    totals.add(_plan(_album(4)))
    totals.add(_plan(_album(6)))
    totals.add(_plan(_album(50), Action.SKIP, Reason.HAS_ART))
    return totals


_RATES = Rates(
    seconds_to_load=10, seconds_per_track=2, seconds_per_cover=15, bytes_per_cover=500_000
)


@pytest.mark.parametrize(
    ("write", "cost"),
    [
        (WriteOptions(), "2 covers, 10 files to write; time: about 60 s; space: about 5 MB"),
        (
            WriteOptions(sidecar=True),
            "2 covers, 12 files to write; time: about 60 s; space: about 6 MB",
        ),
        (
            WriteOptions(embed=False, sidecar=True),
            "2 covers, 2 files to write; time: about 60 s; space: about 1 MB",
        ),
    ],
)
def test_the_cost_as_the_last_run_measured_it(write: WriteOptions, cost: str) -> None:
    line = lines.cost_line(_two_albums(), write, _RATES)

    assert line.replace("added disk space", "space") == cost


@pytest.mark.parametrize(
    ("encoding", "size"),
    [
        (Encoding(), "at most 7.86 MB"),  # 10 files of 512 × 512 pixels of 3 bytes
        (Encoding(size=1000), "at most 30 MB"),
    ],
)
def test_the_cost_before_anything_was_measured(encoding: Encoding, size: str) -> None:
    line = lines.cost_line(_two_albums(), WriteOptions(encoding=encoding), None)

    assert line == (
        f"2 covers, 10 files to write; time: known after the first run; added disk space: {size}"
    )


def test_spreading_pictures_that_are_there_costs_a_moment() -> None:
    totals = PlanTotals()
    totals.add(_plan(_album(1), Action.FILL, Reason.FILLED))

    line = lines.cost_line(totals, WriteOptions(), None)

    assert line.startswith("0 covers, 1 file to write; time: a moment;")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "1 s"),
        (0.4, "1 s"),
        (40, "40 s"),
        (89, "89 s"),
        (90, "2 min"),
        (720, "12 min"),
        (89 * 60, "89 min"),
        (90 * 60, "1 h 30 min"),
        (2 * 3600 - 20, "2 h 0 min"),
        (3 * 3600 + 20 * 60, "3 h 20 min"),
        (100 * 3600, "100 h 0 min"),
    ],
)
def test_a_time_is_told_as_people_say_it(seconds: float, told: str) -> None:
    assert lines.duration(seconds) == told


@pytest.mark.parametrize(
    ("count_bytes", "told"),
    [
        (0, "0 kB"),
        (100, "0.1 kB"),
        (1_000, "1 kB"),
        (999_000, "999 kB"),
        (1_000_000, "1 MB"),
        (1_234_000, "1.23 MB"),
        (999_000_000, "999 MB"),
        (1_000_000_000, "1 GB"),
        (78_600_000_000, "78.6 GB"),
    ],
)
def test_a_size_is_told_in_the_unit_that_suits_it(count_bytes: int, told: str) -> None:
    totals = PlanTotals()
    totals.add(_plan(_album(1)))
    rates = Rates(
        seconds_to_load=0, seconds_per_track=0, seconds_per_cover=0, bytes_per_cover=count_bytes
    )
    line = lines.cost_line(totals, WriteOptions(), rates)

    assert line.endswith(f"added disk space: about {told}")
