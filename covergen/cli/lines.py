"""Events and plans as lines of text: pure functions, no output."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from covergen.core.types import Action, Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from covergen.core.types import Album, AlbumPlan
    from covergen.jobs.estimate import Rates
    from covergen.jobs.events import AlbumDone, PlanTotals, Tally

__all__ = [
    "album_line",
    "duration",
    "outcome_line",
    "plan_line",
    "shown",
    "tally_lines",
    "totals_lines",
]

_DONE = {Action.PAINT: "painted", Action.FILL: "filled", Action.SKIP: "skipped"}
_COLORS = {
    "paint": "green",
    "painted": "green",
    "fill": "cyan",
    "filled": "cyan",
    "partly": "yellow",
    "failed": "red",
}


def shown(text: str | os.PathLike[str], *, keep: str = "") -> str:
    """A name made safe to print: line breaks, control characters and broken bytes are escaped.

    The characters of `keep` are not.
    """
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in os.fspath(text))


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as Python carries it
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def plan_line(plan: AlbumPlan) -> str:
    """What would be done with an album, and why."""
    return _columns(plan.action.value, plan.reason.value, plan.album)


def album_line(done: AlbumDone) -> str:
    """What was done with an album, and why."""
    return _columns(_verb(done), done.reason.value, done.plan.album)


def _verb(done: AlbumDone) -> str:
    if not done.failed:
        return _DONE[done.plan.action]
    written = any(outcome.status is not Status.FAILED for outcome in done.outcomes)
    return "partly" if written else "failed"


def _columns(verb: str, reason: str, album: Album) -> str:
    count = len(album.tracks)
    tracks = f"{count} track" if count == 1 else f"{count} tracks"
    word = click.style(f"{verb:<8}", fg=_COLORS.get(verb), dim=verb.startswith("skip"))
    return f"{word}{reason:<14}{tracks:>10}  {_name(album)}"


def _name(album: Album) -> str:
    title = album.title or album.folder.name
    named = f"{album.artist} – {title}" if album.artist else title
    return shown(f"{named} ({album.date[:4]})" if album.date else named)


def outcome_line(outcome: Outcome) -> str:
    """What became of a file."""
    word = click.style(f"{outcome.status.value:<8}", fg=_COLORS.get(outcome.status.value))
    text = outcome.message or outcome.reason.text
    return f"{word}{outcome.reason.value:<14}{shown(outcome.path)}: {shown(text)}"


def totals_lines(totals: PlanTotals, rates: Rates | None, cover_bytes: int) -> Iterator[str]:
    """What a plan adds up to. `cover_bytes`: the most that a cover takes, if no run told yet."""
    from covergen.jobs.estimate import seconds_needed

    for (action, reason), count in sorted(totals.albums.items()):
        yield f"{_albums(count)} to {action.value}: {reason.text}"
    for failure, count in sorted(totals.failed.items()):
        yield f"{_files(count)} left alone: {failure.text}"
    to_paint = totals.albums_to(Action.PAINT)
    if to_paint:
        files = totals.targets[Action.PAINT]
        covers = "1 cover" if to_paint == 1 else f"{to_paint} covers"
        time = f"about {duration(seconds_needed(totals, rates))}" if rates else "known after a run"
        size = (
            f"about {_size(files * rates.bytes_per_cover)}"
            if rates
            else f"at most {_size(files * cover_bytes)}"
        )
        yield f"{covers} for {_files(files)}; time: {time}; added disk space: {size}"


def tally_lines(tally: Tally) -> Iterator[str]:
    """What a run added up to."""
    for (action, reason), count in sorted(tally.albums.items()):
        yield f"{_albums(count)} {_DONE[action]}: {reason.text}"
    for (status, cause), count in sorted(tally.files.items()):
        if status is Status.WRITTEN:
            yield f"{_files(count)} written"
        else:
            yield f"{_files(count)} {status.value}: {cause.text}"


def duration(seconds: float) -> str:
    """A time as people say it: "40 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _size(count_bytes: float) -> str:
    megabytes = count_bytes / 1e6
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.1f} MB"


def _albums(count: int) -> str:
    return "1 album" if count == 1 else f"{count} albums"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
