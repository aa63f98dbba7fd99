"""Write the covers chosen in a preview; nothing is painted and no model is loaded."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from covergen.core.album import Action, AlbumPlan, Outcome, Status
from covergen.core.atomic_write import remove_stale
from covergen.core.cover import Provenance
from covergen.core.errors import WriteError
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.journal.open_run import open_run
from covergen.pipeline.ahead import Ahead
from covergen.pipeline.events import AlbumDone, CheckInterrupted, Emit, FileFailed
from covergen.pipeline.session import open_session
from covergen.pipeline.skip_rule import foreseen, skipped
from covergen.pipeline.write_album import Writer, encoded, fill_album, write_album
from covergen.preview.check_against_library import Review

if TYPE_CHECKING:
    from covergen.pipeline.options import ApplyOptions, WriteOptions


_COVERS_AHEAD = 2


def plan_apply(
    options: ApplyOptions, check_interrupted: CheckInterrupted
) -> Iterator[AlbumPlan | Outcome]:
    """Yield what `apply` would do: each album's plan, and an Outcome for what fails by itself.

    An album whose painted cover is unfit is skipped. Raises the same errors as `apply`.
    """
    with closing(Review(options)) as review:
        yield from review.damage()
        for plan, candidate in review.albums(check_interrupted):
            failed = (outcome for outcome in plan.hindered if outcome.status is Status.FAILED)
            known = replace(plan, hindered=tuple(failed))
            try:
                if candidate:
                    review.cover(plan.album.key, candidate)
            except WriteError as error:
                yield skipped(known, error.reason)
                yield Outcome.of_error(error)
            else:
                yield from foreseen(known, options.write)


def apply(options: ApplyOptions, emit: Emit, check_interrupted: CheckInterrupted) -> None:
    """Write the chosen covers into the files that have not changed since the preview.

    Raises UsageError if the preview or its library is missing, SettingsError for invalid choices,
    BusyError, JournalError, and Interrupted if `check_interrupted` raises it between two albums.
    """
    with closing(Review(options)) as review:
        settings = {"preview": review.preview, "write": options.write}
        run = open_run("apply", review.roots, settings, journal=options.write.journal)
        with open_session(run) as session:
            writer = Writer(options=options.write, on_written=session.note_written, run=session.run)
            for outcome in review.damage():
                emit(FileFailed(outcome=outcome))
            # Check and encode the next covers while one is written.
            ready = Ahead(_encoded(review, options.write), _COVERS_AHEAD, name="encode")
            with closing(ready):
                for plan, cover in ready:
                    check_interrupted()
                    for folder in _folders(plan):
                        remove_stale(folder)  # left behind by a killed run
                    done = _write(plan, cover, writer)
                    emit(replace(done, outcomes=(*plan.hindered, *done.outcomes)))


class _Encoded(NamedTuple):
    """A cover: the picture for the tracks, and the one for the cover file."""

    provenance: Provenance
    picture: Picture
    beside: Picture


def _folders(plan: AlbumPlan) -> set[Path]:
    """Return the folders of an album's files, without those outside the library."""
    outside = {outcome.path for outcome in plan.hindered if outcome.reason is Reason.OUTSIDE}
    files = (*(track.path for track in plan.targets), *(outcome.path for outcome in plan.hindered))
    return {plan.album.folder, *(file.parent for file in files if file not in outside)} - outside


def _encoded(
    review: Review, options: WriteOptions
) -> Generator[tuple[AlbumPlan, _Encoded | Outcome | None]]:
    """Yield each album with its cover: an Outcome if it is unfit, None if there is no new one."""
    for plan, candidate in review.albums(check_interrupted=lambda: None):
        if candidate is None:
            yield plan, None
            continue
        try:
            cover = review.cover(plan.album.key, candidate)
        except WriteError as error:
            yield plan, Outcome.of_error(error)
        else:
            yield plan, _Encoded(cover.provenance, *encoded(cover, options))


def _write(plan: AlbumPlan, cover: _Encoded | Outcome | None, writer: Writer) -> AlbumDone:
    if plan.action is Action.FILL:
        return fill_album(plan, writer)
    if cover is None:
        return AlbumDone(plan=plan, reason=plan.reason)
    if isinstance(cover, Outcome):
        return AlbumDone(plan=plan, reason=plan.reason, outcomes=(cover,))
    return write_album(plan, cover.picture, cover.provenance, writer, beside=cover.beside)
