"""Lines of text: safe to print, aligned, and with correct figures."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import click
import pytest

from covergen.cli.output import lines
from covergen.core.album import Action, Album, AlbumPlan, Outcome, Status
from covergen.core.cover_encoding import Encoding
from covergen.core.reasons import Reason
from covergen.pipeline.events import AlbumDone, FileFailed
from covergen.pipeline.options import WriteOptions
from covergen.pipeline.time_estimate import Rates
from covergen.pipeline.totals import PlanTotals, Tally
from tests.values import make_album

_FOLDER = Path("/music/Folder Name")


def _album(tracks: int = 2, *, artist: str = "Ada", title: str = "Rye", date: str = "") -> Album:
    names = (f"{n}.mp3" for n in range(tracks))
    return make_album(_FOLDER, *names, title=title, artist=artist, date=date)


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
    ("name", "expected"),
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
def test_unprintable_characters_are_escaped(name: str, expected: str) -> None:
    assert lines.shown(name) == expected
    lines.shown(name).encode()


# Albums.


@pytest.mark.parametrize(
    ("album", "ending"),
    [
        (_album(1), "1 track  Ada – Rye"),
        (_album(1, artist=""), "1 track  Rye"),
        (_album(1, title=""), "1 track  Ada – Folder Name"),
        (_album(1, artist="", title=""), "1 track  Folder Name"),
        (_album(1234, date="1997-05-21"), "1,234 tracks  Ada – Rye (1997)"),
        (_album(1, title="two\nlines\x1b[2J", date="\x07"), "Ada – two\\nlines\\x1b[2J (\\x07)"),
    ],
)
def test_plan_line_names_the_album(album: Album, ending: str) -> None:
    line = click.unstyle(lines.plan_line(_plan(album)))

    assert line.split()[:2] == ["paint", "no-cover"]
    assert line.endswith(ending)


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
def test_album_line_starts_with_the_result(
    action: Action, outcomes: tuple[Outcome, ...], result: str
) -> None:
    plan = _plan(_album(), action, Reason.FORCED)
    done = AlbumDone(plan=plan, reason=plan.reason, outcomes=outcomes)

    line = click.unstyle(lines.album_line(done))

    assert line.split() == [result, "forced", "2", "tracks", "Ada", "–", "Rye"]


def test_album_lines_are_aligned() -> None:
    plans = (
        _plan(_album(1)),
        _plan(_album(12), Action.SKIP, Reason.SHARED_FOLDER),
        _plan(_album(100), Action.FILL, Reason.FILLED),
    )
    assert len({click.unstyle(lines.plan_line(plan)).index("Ada") for plan in plans}) == 1


@pytest.mark.parametrize(
    ("title", "width", "shown"),
    [
        ("A Title of Thirty-Two Characters", 80, "Ada – A Title of Thirty-Two Characters"),
        ("A Title of Thirty-Two Characters", 76, "Ada – A Title of Thirty-Two Characters"),
        ("A Title of Thirty-Two Characters", 75, "Ada – A Title of T…rty-Two Characters"),
        ("A Title of Thirty-Two Characters", 60, "Ada – A Tit…Characters"),
        ("東京" * 9, 60, "Ada – 東…東京東京東京"),  # two columns each
        ("\x1b" * 99, 60, "Ada – \\x1b\\…1b\\x1b\\x1b"),
        ("A Title of Thirty-Two Characters", 40, "Ada – A Title of Thirty-Two Characters"),
    ],
)
def test_album_lines_fit_a_terminal_unless_it_is_too_narrow(
    title: str, width: int, shown: str
) -> None:
    plan = _plan(_album(title=title))
    done = AlbumDone(plan=plan, reason=plan.reason, outcomes=(_WRITTEN,))
    for line in (lines.plan_line(plan, width), lines.album_line(done, width)):
        assert click.unstyle(line)[38:] == shown


# Files.


@pytest.mark.parametrize(
    ("outcome", "words"),
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
def test_outcome_line_explains_the_file(outcome: Outcome, words: list[str]) -> None:
    line = click.unstyle(lines.outcome_line(outcome))

    assert line.split(maxsplit=len(words) - 1) == words


# Totals.


def _words(totals: Iterable[str]) -> list[str]:
    return [" ".join(line.split()) for line in totals]


def test_plan_totals_are_by_action_and_reason() -> None:
    totals = PlanTotals()
    for tracks in (3, 1000):
        totals.add(_plan(_album(tracks)))
    totals.add(_plan(_album(5), Action.SKIP, Reason.HAS_ART))
    totals.add(_plan(_album(7), Action.SKIP, Reason.LIMIT))
    totals.add(_outcome(Status.FAILED, Reason.NOT_AUDIO))

    assert _words(lines.totals_lines(totals)) == [
        f"paint 2 albums 1,003 files {Reason.NO_COVER.text}",
        f"skip 1 album 5 files {Reason.HAS_ART.text}",
        f"skip 1 album 7 files {Reason.LIMIT.text}: see --limit",
        f"failed 1 file {Reason.NOT_AUDIO.text}",
    ]


def test_totals_of_several_use_the_plural_and_name_what_they_count() -> None:
    tally = Tally()
    for _ in range(2):
        done = AlbumDone(plan=_plan(_album(), Action.SKIP, Reason.HAS_ART), reason=Reason.HAS_ART)
        tally.add(done)
        tally.add(FileFailed(outcome=_outcome(Status.FAILED, Reason.GONE)))
    assert _words(lines.tally_lines(tally, "track")) == [
        "skipped 2 tracks already have a cover",
        "failed 2 files no longer exist",
    ]


def test_plan_totals_count_wma_files_with_small_covers() -> None:
    album = _album(3)
    wma = tuple(replace(track, container="asf") for track in album.tracks[:2])
    totals = PlanTotals()
    totals.add(_plan(replace(album, tracks=(*wma, album.tracks[2]))))

    *_, note = lines.totals_lines(totals)

    assert "2 WMA files" in note
    assert "64 KiB" in note


def test_totals_count_files_without_covers_by_extension() -> None:
    totals, tally = PlanTotals(), Tally()
    for name in ("1.aac", "2.AAC", "3.ac3"):
        outcome = Outcome(path=_FOLDER / name, status=Status.SKIPPED, reason=Reason.BARE)
        totals.add(outcome)
        tally.add(FileFailed(outcome=outcome))

    expected = [f"skipped 3 files {Reason.BARE.text}: .aac (2), .ac3 (1)"]
    assert _words(lines.totals_lines(totals)) == expected
    assert _words(lines.tally_lines(tally)) == expected


def test_run_totals_are_by_result_and_reason() -> None:
    tally = Tally()
    plan = _plan(_album())
    for outcomes in ((_WRITTEN, _WRITTEN), (_WRITTEN, _BROKEN)):
        tally.add(AlbumDone(plan=plan, reason=plan.reason, outcomes=outcomes))
    tally.add(FileFailed(outcome=_outcome(Status.FAILED, Reason.NOT_AUDIO)))
    reasons = (
        Reason.NO_COVER, Reason.NO_COVER, Reason.NOT_AUDIO, Reason.UNDECODABLE, Reason.WRITTEN,
    )  # fmt: skip
    shown = list(lines.tally_lines(tally))

    assert _words(shown) == [
        f"painted 1 album {Reason.NO_COVER.text}",
        f"partly 1 album {Reason.NO_COVER.text}",
        f"failed 1 file {Reason.NOT_AUDIO.text}",
        f"failed 1 file {Reason.UNDECODABLE.text}",
        f"written 3 files {Reason.WRITTEN.text}",
    ]
    columns = {line.index(reason.text) for line, reason in zip(shown, reasons, strict=True)}
    assert len(columns) == 1, "aligned"


# Costs.


def _two_albums() -> PlanTotals:
    """Two covers for ten tracks, and a skipped album."""
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
def test_cost_uses_the_rates_of_the_last_run(write: WriteOptions, cost: str) -> None:
    line = lines.cost_line(_two_albums(), write, _RATES)

    assert line.replace("added disk space", "space") == cost


@pytest.mark.parametrize(
    ("encoding", "size"),
    [
        (Encoding(), "at most 7.86 MB"),  # 10 files of 512 × 512 pixels of 3 bytes
        (Encoding(size=1000), "at most 30 MB"),
    ],
)
def test_cost_before_the_first_run_is_an_upper_bound(encoding: Encoding, size: str) -> None:
    line = lines.cost_line(_two_albums(), WriteOptions(encoding=encoding), None)

    assert line == (
        f"2 covers, 10 files to write; time: known after the first run; added disk space: {size}"
    )


@pytest.mark.parametrize(("rates", "size"), [(_RATES, "about 3.85 MB"), (None, "at most 6.05 MB")])
def test_cost_includes_that_ogg_stores_pictures_as_base64(rates: Rates | None, size: str) -> None:
    album = _album(6)
    ogg = (replace(track, container="opus") for track in album.tracks[:5])
    totals = PlanTotals()
    totals.add(_plan(replace(album, tracks=(*ogg, album.tracks[5]))))

    line = lines.cost_line(totals, WriteOptions(), rates)

    # One picture of 500 kB or 512 × 512 × 3 bytes, and five on pages with 4/3 of it and 0.4 % more.
    assert line.endswith(f"added disk space: {size}")


@pytest.mark.parametrize(("rates", "size"), [(_RATES, "about 1.68 MB"), (None, "at most 2.25 MB")])
def test_cost_includes_that_wma_files_get_small_covers(rates: Rates | None, size: str) -> None:
    album = _album(12)
    wma = (replace(track, container="asf") for track in album.tracks[:10])
    totals = PlanTotals()
    totals.add(_plan(replace(album, tracks=(*wma, *album.tracks[10:]))))

    line = lines.cost_line(totals, WriteOptions(), rates)

    # Two pictures of 500 kB or 512 × 512 × 3 bytes, and ten of at most 64 KiB with padding.

    assert line.endswith(f"added disk space: {size}")


def test_copying_existing_covers_takes_a_moment() -> None:
    totals = PlanTotals()
    totals.add(_plan(_album(1), Action.FILL, Reason.FILLED))

    line = lines.cost_line(totals, WriteOptions(), None)

    assert line.startswith("0 covers, 1 file to write; time: a moment;")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "1 s"),
        (89, "89 s"),
        (90, "2 min"),
        (89 * 60, "89 min"),
        (90 * 60, "1 h 30 min"),
        (2 * 3600 - 20, "2 h 0 min"),
        (100 * 3600, "100 h 0 min"),
    ],
)
def test_duration_is_rounded_to_its_unit(seconds: float, expected: str) -> None:
    assert lines.duration(seconds) == expected


@pytest.mark.parametrize(
    ("count_bytes", "expected"),
    [
        (0, "0 kB"),
        (100, "0.1 kB"),
        (999_000, "999 kB"),
        (1_000_000, "1 MB"),
        (1_234_000, "1.23 MB"),
        (999_999_999, "1 GB"),
        (78_600_000_000, "78.6 GB"),
    ],
)
def test_byte_size_has_three_digits(count_bytes: int, expected: str) -> None:
    assert lines.byte_size(count_bytes) == expected
