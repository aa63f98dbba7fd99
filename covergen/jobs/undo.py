"""Undo a run: restore the files it wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from covergen.audio.same_sound import same_sound
from covergen.core.album import Action, AlbumPlan, Outcome, Status, Track
from covergen.core.atomic_write import remove_stale
from covergen.core.errors import UsageError
from covergen.core.reasons import Reason
from covergen.journal.journal import Journal
from covergen.journal.lock import library_lock
from covergen.journal.open_run import journalled
from covergen.journal.restore import take_back
from covergen.journal.schema import WriteState
from covergen.library.writing.change import Stamp
from covergen.library.writing.rewrite import RewriteOptions, remove_own_cover
from covergen.library.writing.sidecar import is_own_file, remove_sidecar
from covergen.pipeline.events import AlbumDone, CheckInterrupted, Emit
from covergen.pipeline.session import open_session

if TYPE_CHECKING:
    from covergen.journal.recorder import RunRecorder
    from covergen.journal.schema import Run, Write


_FORCEABLE = (Reason.CHANGED, Reason.IRREVERSIBLE)
_SETTLED = (Status.WRITTEN, Status.UNCHANGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoOptions:
    """How a run is undone.

    `force`: where a file cannot be restored, remove covergen's cover from it instead.
    """

    force: bool = False
    rewrite: RewriteOptions = field(default_factory=RewriteOptions)


def known_run(number: int) -> Run:
    """Return the run with this number. Raises UsageError if there is none, and JournalError."""
    with closing(Journal()) as journal:
        run = journal.run(number)
    if run is None:
        raise UsageError(f"There is no run {number}.", hint="covergen runs lists them.")
    return run


def has_left(run: Run) -> bool:
    """Whether a run has writes that are not undone yet. Raises JournalError."""
    with closing(Journal()) as journal:
        return any(map(_not_undone, journal.writes(run.id)))


def last_to_undo(
    options: UndoOptions, check_interrupted: CheckInterrupted
) -> tuple[Run | None, list[Run]]:
    """Return the last run that can be undone, and the later runs that cannot.

    The later runs include those that wrote nothing, but not those that are already undone. If no
    run can be undone, returns the last one that has writes left, or None, and no later runs.
    Raises JournalError, and whatever `check_interrupted` raises.
    """
    with closing(Journal()) as journal:
        left = journal.left_to_undo()
        for run in left:
            if any(
                isinstance(item, AlbumPlan) for item in plan_undo(run, options, check_interrupted)
            ):
                later = (other for other in journal.runs() if other.id > run.id)
                return run, [
                    other
                    for other in later
                    if other.action != "undo" and (not other.written or other in left)
                ]
    return next(iter(left), None), []


def share_a_place(one: Run, other: Run) -> bool:
    """Whether two runs worked on the same folder, or one in a folder below the other's."""
    return any(a.is_relative_to(b) or b.is_relative_to(a) for a in one.roots for b in other.roots)


def plan_undo(
    run: Run, options: UndoOptions, check_interrupted: CheckInterrupted
) -> Iterator[AlbumPlan | Outcome]:
    """Yield what undoing a run would do, album by album. Read-only. Raises JournalError.

    An Outcome is a file that would be skipped.
    """
    with closing(Journal()) as journal:
        for writes in journal.writes(run.id):
            check_interrupted()
            left = _not_undone(writes)
            outcomes = [take_back(w, journal, options.rewrite, dry_run=True) for w in left]
            if options.force:
                outcomes = [_skip_if_gone(outcome) for outcome in outcomes]
            blocked = [outcome for outcome in outcomes if not _would_succeed(outcome, options)]
            yield from blocked
            paths = {outcome.path for outcome in blocked}
            if undoable := [write for write in left if write.path not in paths]:
                yield _plan(undoable)


def undo(run: Run, options: UndoOptions, emit: Emit, check_interrupted: CheckInterrupted) -> None:
    """Restore the files of a run as they were before it, last written album first.

    An interrupted undo is resumed. Raises BusyError, JournalError, and Interrupted if
    `check_interrupted` raises it.
    """
    with (
        library_lock("undo", run.roots),
        closing(Journal()) as journal,
        journalled(journal, "undo", run.roots, {"undoes": run.id}) as undoing,
        open_session() as session,
    ):
        for writes in journal.writes(run.id):
            if left := _not_undone(writes):
                emit(_undo_album(left, journal, undoing, options, check_interrupted))
                for write in left:
                    session.note_written(_track(write))


def _not_undone(writes: tuple[Write, ...]) -> list[Write]:
    return [write for write in writes if write.state is not WriteState.UNDONE]


def _undo_album(
    writes: list[Write],
    journal: Journal,
    undoing: RunRecorder,
    options: UndoOptions,
    check_interrupted: CheckInterrupted,
) -> AlbumDone:
    for folder in {write.path.parent for write in writes}:
        remove_stale(folder)
    outcomes, undone = [], []
    try:
        for write in writes:
            check_interrupted()
            outcome = take_back(write, journal, options.rewrite)
            if options.force and outcome.reason in _FORCEABLE:
                outcome = _remove_cover(write, outcome, undoing, options)
            elif options.force:
                outcome = _skip_if_gone(outcome)
            if outcome.status in _SETTLED or _is_skipped_as_gone(outcome):
                undone.append(write)
            outcomes.append(outcome)
    finally:
        undoing.undo(*undone)
    failed = sum(outcome.status is Status.FAILED for outcome in outcomes)
    undoing.finish_album(writes[0].album, failed=failed, complete=failed == 0)
    pairs = zip(writes, outcomes, strict=True)
    if attempted := [write for write, outcome in pairs if outcome.status is not Status.SKIPPED]:
        plan = _plan(attempted)
    else:
        plan = replace(_plan(writes), action=Action.SKIP, reason=outcomes[0].reason, targets=())
    return AlbumDone(plan=plan, reason=plan.reason, outcomes=tuple(outcomes))


def _remove_cover(
    write: Write, failure: Outcome, undoing: RunRecorder, options: UndoOptions
) -> Outcome:
    """Remove covergen's cover from a file in its current state."""
    try:
        now = Stamp.of(write.path.stat())
    except OSError:  # a broken link, or a disk that does not respond
        return failure
    if not write.container:
        return remove_sidecar(write.path) if is_own_file(write.path) else failure
    track = replace(_track(write), size=now.size, mtime_ns=now.mtime_ns)
    return remove_own_cover(
        track,
        same_sound=same_sound,
        options=options.rewrite,
        record=undoing.record(write.album),
    )


def _skip_if_gone(outcome: Outcome) -> Outcome:
    """If forced, skip a missing file; if its folder is missing too, the disk may be offline."""
    gone = outcome.reason is Reason.GONE and os.access(outcome.path.parent, os.F_OK)
    return replace(outcome, status=Status.SKIPPED) if gone else outcome


def _is_skipped_as_gone(outcome: Outcome) -> bool:
    return (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.GONE)


def _would_succeed(outcome: Outcome, options: UndoOptions) -> bool:
    """Whether undoing the file is expected to succeed."""
    if outcome.reason in _FORCEABLE:
        return options.force
    return outcome.status in _SETTLED


def _plan(writes: list[Write]) -> AlbumPlan:
    tracks = tuple(_track(write) for write in writes if write.container)
    return AlbumPlan(
        album=replace(writes[0].album, tracks=tracks),
        action=Action.UNDO,
        reason=Reason.IN_RUN,
        targets=tracks,
        cover_files=tuple(write.path for write in writes if not write.container),
    )


def _track(write: Write) -> Track:
    """Return a track as the run left it."""
    stamp = write.stamp_after
    return Track(
        path=write.path,
        size=stamp.size,
        mtime_ns=stamp.mtime_ns,
        container=write.container,
        has_art=True,
    )
