"""Create a dataset of music and covers from Jamendo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.album import Action, Album, AlbumPlan, Outcome, Track
from covergen.core.atomic_write import remove_stale
from covergen.core.errors import DownloadError, ItemError, WriteError
from covergen.core.os_errors import write_errors
from covergen.core.reasons import Reason
from covergen.datasets.folder import AUDIO, IMAGES, check_place
from covergen.datasets.jamendo.catalog import Page, pages
from covergen.datasets.jamendo.collect import audio_file, collect, obstacle
from covergen.datasets.jamendo.fetch import Fetcher, Patience
from covergen.datasets.jamendo.query import searches
from covergen.datasets.jamendo.track import track_key
from covergen.datasets.metadata import MetadataFile, read_metadata
from covergen.pipeline.events import AlbumDone, CheckInterrupted, Emit, Waiting

if TYPE_CHECKING:
    from covergen.datasets.jamendo.catalog import Account
    from covergen.datasets.jamendo.query import Query
    from covergen.datasets.jamendo.track import JamendoTrack
    from covergen.datasets.metadata import Row


_MAX_FAILURES_IN_A_ROW = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class JamendoOptions:
    """What to collect, into which folder, until it contains that many `pairs` from Jamendo.

    The middle `seconds` of each track are saved.
    """

    folder: Path
    account: Account
    query: Query
    pairs: int
    seconds: float = 30.0
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a search would collect, judging by its first page.

    `total` is the number of tracks found, None if Jamendo does not report it. `usable` counts the
    tracks of the page that would be collected, `reasons` the others.
    """

    parameters: Mapping[str, str]
    total: int | None
    usable: int
    reasons: Mapping[Reason, int]


def collect_from_jamendo(
    options: JamendoOptions, emit: Emit, check_interrupted: CheckInterrupted
) -> None:
    """Collect pairs until there are enough, or until the catalog ends.

    Tracks already in the dataset are skipped silently. Raises UsageError, DownloadError, WriteError
    if the dataset cannot be written, and Interrupted if `check_interrupted` raises it; pairs
    collected so far are kept.
    """
    known, count = _known(options.folder)
    _make_folders(options.folder)
    failures = 0
    with (
        MetadataFile(options.folder) as metadata,
        _fetcher(options, emit, check_interrupted) as fetcher,
    ):
        tracks = (track for track in _tracks(options, fetcher) if not track.keys & known)
        while count < options.pairs and (track := next(tracks, None)):
            row, done = _collect(track, options, fetcher)
            if row is not None:
                metadata.append(row)
                known.update(track.keys)
                count += 1
            emit(done)
            if done.plan.action is Action.COLLECT:
                failures = failures + 1 if done.reason is Reason.NOT_REACHED else 0
            if failures == _MAX_FAILURES_IN_A_ROW:
                raise DownloadError(
                    f"Jamendo's files cannot be reached: {failures} in a row failed.",
                    hint="Run the same command again later.",
                )


def preview_jamendo(
    options: JamendoOptions, emit: Emit, check_interrupted: CheckInterrupted
) -> Iterator[Forecast]:
    """Request only the first page of each search. Raises as `collect_from_jamendo`."""
    known, _ = _known(options.folder)
    with _fetcher(options, emit, check_interrupted) as fetcher:
        for search in searches(options.query):
            first = pages(search, options.account, fetcher, count=True)
            page = next(first, Page(tracks=(), total=0))
            reasons = [
                Reason.COLLECTED if track.keys & known else obstacle(track, options.query.licenses)
                for track in page.tracks
            ]
            yield Forecast(
                parameters=search,
                total=page.total,
                usable=reasons.count(None),
                reasons=Counter(reason for reason in reasons if reason),
            )


def pairs_there(folder: Path) -> int:
    """Return the number of pairs from Jamendo. Raises UsageError if `folder` is unsuitable."""
    _, count = _known(folder)
    return count


def _known(folder: Path) -> tuple[set[str], int]:
    """Return the keys of a dataset's tracks and albums, and the number of Jamendo pairs."""
    check_place(folder)
    rows = list(read_metadata(folder))
    ids = {row["jamendo_track_id"] for row in rows if row.get("jamendo_track_id")}
    return {track_key(i) for i in ids} | {row.get("album_key", "") for row in rows}, len(ids)


def _make_folders(folder: Path) -> None:
    for place in (folder, folder / AUDIO, folder / IMAGES):
        with write_errors(place):
            place.mkdir(parents=True, exist_ok=True)
        remove_stale(place)


def _fetcher(options: JamendoOptions, emit: Emit, check_interrupted: CheckInterrupted) -> Fetcher:
    def on_wait(seconds: float, why: str) -> None:
        emit(Waiting(seconds=seconds, why=why))

    return Fetcher(options.patience, check_interrupted, on_wait)


def _tracks(options: JamendoOptions, fetcher: Fetcher) -> Iterator[JamendoTrack]:
    for search in searches(options.query):
        for page in pages(search, options.account, fetcher):
            yield from page.tracks


def _collect(
    track: JamendoTrack, options: JamendoOptions, fetcher: Fetcher
) -> tuple[Row | None, AlbumDone]:
    """Collect a track unless it is to be skipped; return its row if it was collected."""
    album = _album(track, options.folder)
    reason = obstacle(track, options.query.licenses)
    if reason is not None:
        skip = AlbumPlan.skip(album, reason)
        return None, AlbumDone(plan=skip, reason=reason)
    plan = AlbumPlan(
        album=album, action=Action.COLLECT, reason=Reason.HAS_ART, targets=album.tracks
    )
    try:
        row = collect(track, options.folder, fetcher, seconds=options.seconds)
    except WriteError:
        raise  # the dataset's failure, not the track's
    except ItemError as error:
        failed = Outcome.of_error(error)
        return None, AlbumDone(plan=plan, reason=error.reason, outcomes=(failed,))
    files = (AUDIO, row["audio_filename"]), (IMAGES, row["image_filename"])
    made = (Outcome.written(options.folder / place / name, Reason.MADE) for place, name in files)
    return row, AlbumDone(plan=plan, reason=plan.reason, outcomes=tuple(made))


def _album(listed: JamendoTrack, folder: Path) -> Album:
    """Convert a Jamendo track to an album of one track."""
    track = Track(
        path=audio_file(listed, folder),
        size=0,
        mtime_ns=0,
        container="mp3",
        has_art=False,
        duration_seconds=listed.duration_seconds,
        title=listed.title,
        artist=listed.artist,
        album=listed.album,
        date=listed.release_date,
    )
    return Album(
        key=listed.album_key,
        folder=folder,
        title=listed.album or listed.title,
        artist=listed.artist,
        date=listed.release_date,
        tracks=(track,),
    )
