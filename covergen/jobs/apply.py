"""Write the covers chosen in a preview; nothing is painted and no model is loaded."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from covergen.audio.store import EmbeddingStore
from covergen.core.errors import WriteError
from covergen.core.types import Action, Outcome, Status
from covergen.journal.runs import open_run
from covergen.library.scanning.scan_cache import ScanCache
from covergen.library.writing.rewrite import remove_stale
from covergen.pipeline.events import AlbumDone, FileFailed
from covergen.pipeline.writing import Writer, encoded, fill_album, write_album
from covergen.preview.review import Review

if TYPE_CHECKING:
    from collections.abc import Iterator

    from covergen.core.types import AlbumPlan, Track
    from covergen.pipeline.events import CheckInterrupted, Emit
    from covergen.pipeline.options import ApplyOptions
    from covergen.preview.review import Reviewed

__all__ = ["apply", "plan_apply"]


def plan_apply(
    options: ApplyOptions, check_interrupted: CheckInterrupted
) -> Iterator[AlbumPlan | Outcome]:
    """Yield what `apply` would do: each album's plan, and an Outcome for damage in the preview.

    Raises the same errors as `apply`.
    """
    with closing(Review(options)) as review:
        yield from review.damage()
        for reviewed in review.albums(check_interrupted):
            failed = (one for one in reviewed.outcomes if one.status is Status.FAILED)
            yield replace(reviewed.plan, hindered=tuple(failed))


def apply(options: ApplyOptions, emit: Emit, check_interrupted: CheckInterrupted) -> None:
    """Write the chosen covers into the files that have not changed since the preview.

    Raises UsageError if the preview or its library is missing, SettingsError for invalid choices,
    BusyError, JournalError, and Interrupted if `check_interrupted` raises it between two albums.
    """
    with closing(Review(options)) as review:
        settings = {"preview": review.preview, "write": options.write}
        with (
            open_run("apply", review.roots, settings, journal=options.write.journal) as run,
            closing(ScanCache()) as scan_cache,
            closing(EmbeddingStore()) as store,
        ):

            def on_written(track: Track) -> None:
                store.carry_over(track)
                scan_cache.forget(track.path)

            writer = Writer(options=options.write, on_written=on_written, run=run)
            for outcome in review.damage():
                emit(FileFailed(outcome=outcome))
            for reviewed in review.albums(check_interrupted):
                emit(_write(review, reviewed, writer))


def _write(review: Review, reviewed: Reviewed, writer: Writer) -> AlbumDone:
    plan = reviewed.plan
    for folder in reviewed.folders:
        remove_stale(folder)  # left behind by a killed run
    if reviewed.candidate:
        try:
            cover = review.cover(plan.album.key, reviewed.candidate)
        except WriteError as error:
            done = AlbumDone(plan=plan, reason=plan.reason, outcomes=(Outcome.of_error(error),))
        else:
            picture, beside = encoded(cover, writer.options)
            done = write_album(plan, picture, cover.provenance, writer, beside=beside)
    elif plan.action is Action.FILL:
        done = fill_album(plan, writer)
    else:
        done = AlbumDone(plan=plan, reason=plan.reason)
    return replace(done, outcomes=(*reviewed.outcomes, *done.outcomes))
