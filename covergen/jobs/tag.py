"""The main job: embed a library, paint a cover for each album that lacks one, and write it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from covergen.core.album import Action, AlbumPlan, Outcome
from covergen.core.reasons import Reason
from covergen.journal.open_run import open_run
from covergen.pipeline.events import CheckInterrupted, Emit
from covergen.pipeline.painting import Seeds
from covergen.pipeline.plan_library import plan_library
from covergen.pipeline.session import open_session
from covergen.pipeline.time_estimate import Meter, rates_key
from covergen.pipeline.titled_covers import titled_covers
from covergen.pipeline.write_album import Writer, cleaned, encoded, left_to_paint, write_album

if TYPE_CHECKING:
    from covergen.journal.recorder import RunRecorder
    from covergen.pipeline.options import TagOptions, WriteOptions


def tag(options: TagOptions, emit: Emit, check_interrupted: CheckInterrupted) -> None:
    """Paint and write covers; each is written as soon as its batch is painted.

    An interrupted run with the same options is resumed. Raises BusyError, JournalError,
    ModelError, and Interrupted if `check_interrupted` raises it; covers painted so far are written.
    """
    plan, write = options.plan, options.plan.write
    run = open_run("tag", plan.paths, options.identity, journal=write.journal)
    with open_session(run) as session:
        writer = Writer(options=write, on_written=session.note_written, run=session.run)
        plans = plan_library(plan, session.scan_cache, check_interrupted)
        unfinished = cleaned(_unfinished(plans, session.run, write))
        meter = Meter()
        covers = titled_covers(
            left_to_paint(unfinished, writer, emit),
            options.paint,
            session,
            seeds=Seeds.by_key(options.seed, plan.scan.per),
            meter=meter,
            encode=lambda cover, _: encoded(cover, write),
            emit=emit,
            check_interrupted=check_interrupted,
        )
        with closing(covers):
            for embedding, cover, (picture, beside) in covers:
                done = write_album(
                    embedding.plan,
                    picture,
                    cover.provenance,
                    writer,
                    beside=beside,
                    undecoded=embedding.undecoded,
                )
                emit(done)
                meter.cover_bytes += len(picture.data)
        meter.save(rates_key(options.paint, write.encoding), embedded=session.store.saved)


def _unfinished(
    plans: Iterable[AlbumPlan | Outcome], run: RunRecorder | None, write: WriteOptions
) -> Iterator[AlbumPlan | Outcome]:
    """Adapt plans to what the last run of the same command did.

    Albums that a forced run has already finished are skipped. Where a run was stopped between the
    tracks and a cover file that is encoded otherwise, the cover is painted again for that file.
    """
    for plan in plans:
        if run is None or isinstance(plan, Outcome):
            yield plan
        elif plan.reason is Reason.FORCED and run.has_finished(plan.album):
            yield replace(plan, action=Action.SKIP, reason=Reason.FINISHED, targets=())
        elif _lacks_other_file(plan, write) and run.was_left_unfinished(plan.album):
            yield replace(plan, action=Action.PAINT, reason=Reason.RESUMED)
        else:
            yield plan


def _lacks_other_file(plan: AlbumPlan, write: WriteOptions) -> bool:
    """Whether covergen's cover is in the tracks, but not in the cover file."""
    album = plan.album
    return (
        plan.reason in (Reason.HAS_ART, Reason.RESUMED)
        and write.sidecar
        and not write.can_copy_beside
        and album.cover_file is None
        and not album.shares_folder
        and any(track.own_art for track in album.tracks)
    )
