"""Remove covergen's covers from a library; each is recognized by its own provenance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.audio.same_sound import same_sound
from covergen.core.album import Action, Album, AlbumPlan, Outcome, Status, Track
from covergen.core.cover_encoding import is_own
from covergen.core.errors import JournalError, TagError
from covergen.core.reasons import Reason
from covergen.journal.journal import Journal
from covergen.journal.open_run import open_run
from covergen.library.pictures_in_files import read_pictures
from covergen.library.scanning.artist_folders import ARTIST_NAMES, folder_above, is_within
from covergen.library.scanning.scan import ScanOptions, scan
from covergen.library.scanning.scan_cache import ScanCache
from covergen.library.writing.rewrite import RewriteOptions, remove_own_cover
from covergen.library.writing.sidecar import own_sidecars, remove_sidecar
from covergen.pipeline.events import AlbumDone, CheckInterrupted, Emit, FileFailed, NotJournalled
from covergen.pipeline.options import WriteOptions
from covergen.pipeline.session import open_session
from covergen.pipeline.skip_rule import within_reach
from covergen.pipeline.write_album import cleaned

if TYPE_CHECKING:
    from covergen.journal.recorder import RunRecorder


@dataclass(frozen=True, slots=True, kw_only=True)
class StripOptions:
    """Where covers are removed, how files are replaced, and whether that is journaled."""

    paths: tuple[Path, ...]
    scan: ScanOptions = field(default_factory=ScanOptions)
    journal: bool = True
    rewrite: RewriteOptions = field(default_factory=RewriteOptions)


def plan_strip(
    options: StripOptions, check_interrupted: CheckInterrupted
) -> Iterator[AlbumPlan | Outcome]:
    """Yield each album with the tracks that contain a cover by covergen; change nothing.

    Tracks that are known to be unwritable are `hindered`.
    """
    write = WriteOptions(rewrite=options.rewrite)
    with closing(ScanCache()) as scan_cache:
        for plan in _plans(options, scan_cache, check_interrupted):
            yield plan if isinstance(plan, Outcome) else within_reach(plan, write)


def strip(options: StripOptions, emit: Emit, check_interrupted: CheckInterrupted) -> None:
    """Remove the covers from the tracks, and the cover files next to them.

    Works without the journal if it cannot be used. Raises BusyError, JournalError if the journal is
    locked, has an I/O error or fails later, and Interrupted when `check_interrupted` does, between
    two albums.
    """
    settings = {"strip": replace(options, paths=())}
    journal = options.journal and _is_usable(emit)
    with open_session(open_run("strip", options.paths, settings, journal=journal)) as session:
        for plan in cleaned(_plans(options, session.scan_cache, check_interrupted)):
            if isinstance(plan, Outcome):
                emit(FileFailed(outcome=plan))
                continue
            stripped = plan.action is Action.STRIP
            outcomes = _strip_album(plan, options.rewrite, session.run) if stripped else ()
            for track, outcome in zip(plan.targets, outcomes, strict=False):
                if outcome.status is Status.WRITTEN:
                    session.note_written(track)
            emit(AlbumDone(plan=plan, reason=plan.reason, outcomes=outcomes))


def _is_usable(emit: Emit) -> bool:
    """Whether the journal can be written to; reports if not.

    Raises JournalError if another try may succeed.
    """
    try:
        with closing(Journal()) as journal:
            journal.check_writable()
            journal.runs()
            journal.planned()
    except JournalError as error:
        if error.passing:
            raise
        emit(NotJournalled(why=error.message))
        return False
    return True


def _strip_album(
    plan: AlbumPlan, options: RewriteOptions, run: RunRecorder | None
) -> tuple[Outcome, ...]:
    """Strip an album. Returns the outcomes of its tracks, in order, then those of cover files."""
    record = run.record(plan.album) if run else None
    outcomes = [
        remove_own_cover(track, same_sound=same_sound, options=options, record=record)
        for track in plan.targets
    ]
    outcomes += [remove_sidecar(path, record=record) for path in plan.cover_files]
    if run:
        failed = sum(outcome.status is Status.FAILED for outcome in outcomes)
        run.finish_album(plan.album, failed=failed, complete=failed == 0)
    return tuple(outcomes)


def _plans(
    options: StripOptions, scan_cache: ScanCache, check_interrupted: CheckInterrupted
) -> Iterator[AlbumPlan | Outcome]:
    # Cover files may be next to music that cannot hold covers.
    choice = replace(options.scan, bare=True)
    above: set[Path] = set()
    for item in scan(options.paths, choice, scan_cache, check_interrupted=check_interrupted):
        if isinstance(item, Outcome):
            yield item
        else:
            yield _plan(item)
            above.add(folder_above(item))
    for folder in sorted(above):
        pictures = own_sidecars(folder, ARTIST_NAMES)
        if pictures and is_within(folder, options.paths):
            yield _artist_plan(folder, pictures)


def _artist_plan(folder: Path, pictures: Iterable[Path]) -> AlbumPlan:
    artist = Album(
        key=f"artist {folder}", folder=folder, title=folder.name, artist="", date="", tracks=()
    )
    return AlbumPlan(
        album=artist,
        action=Action.STRIP,
        reason=Reason.HOLDS_ARTIST,
        cover_files=tuple(pictures),
    )


def _plan(album: Album) -> AlbumPlan:
    plan = AlbumPlan(
        album=album,
        action=Action.STRIP,
        reason=Reason.HOLDS_OWN,
        targets=tuple(track for track in album.tracks if _holds_own(track)),
        cover_files=tuple(own_sidecars(album.folder)),
    )
    return plan if plan.files else AlbumPlan.skip(album, Reason.NOT_OWN)


def _holds_own(track: Track) -> bool:
    if track.own_art or not track.has_art:
        return track.own_art
    try:
        return any(is_own(p.data) for p in read_pictures(track.path, track.container))
    except TagError:
        return True  # so that its failure is reported
