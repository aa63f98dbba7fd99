"""The main job: embed a library, paint a cover for each album that lacks one, and write it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from covergen.audio.store import EmbeddingStore
from covergen.core.reasons import Reason
from covergen.core.seeds import seed_for
from covergen.core.types import Action, AlbumPlan, Outcome
from covergen.journal.runs import open_run
from covergen.library.scanning.scan_cache import ScanCache
from covergen.library.writing.change import stamp_of
from covergen.pipeline.estimate import Meter, rates_key
from covergen.pipeline.events import AlbumDone, FileFailed
from covergen.pipeline.painting import paint_plans
from covergen.pipeline.pending import PendingCovers
from covergen.pipeline.planning import plan_library
from covergen.pipeline.titling import titled
from covergen.pipeline.writing import (
    Writer,
    cleaned,
    encoded,
    fill_album,
    is_complete,
    write_album,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from covergen.core.types import Cover, Track
    from covergen.journal.recorder import RunRecorder
    from covergen.pipeline.events import CheckInterrupted, Emit
    from covergen.pipeline.options import PaintOptions, TagOptions

__all__ = ["tag"]


def tag(options: TagOptions, emit: Emit, check_interrupted: CheckInterrupted) -> None:
    """Paint and write covers; each is written as soon as its batch is painted.

    An interrupted run with the same options is resumed. Raises BusyError, JournalError,
    ModelError, and Interrupted if `check_interrupted` raises it; covers painted so far are written.
    """
    with (
        open_run(
            "tag", options.plan.paths, _settings(options), journal=options.plan.write.journal
        ) as run,
        closing(ScanCache()) as scan_cache,
        closing(EmbeddingStore()) as store,
    ):

        def on_written(track: Track) -> None:
            store.carry_over(track)
            scan_cache.forget(track.path)

        meter = Meter()
        write = options.plan.write
        tagging = _Tagging(
            writer=Writer(options=write, on_written=on_written, run=run),
            paint=options.paint,
            pending=PendingCovers(options, run.stamp_before if run else stamp_of),
            emit=emit,
        )
        plans = cleaned(_unfinished(plan_library(options.plan, scan_cache, check_interrupted), run))
        painted = paint_plans(
            tagging.to_paint(plans),
            options.paint,
            store,
            seeds_of=lambda album: (seed_for(album.key, options.seed),),
            meter=meter,
            emit=emit,
            check_interrupted=check_interrupted,
            on_painted=tagging.pending.keep,
        )
        with closing(painted):  # ends the threads that use the store
            for embedding, cover in painted:
                meter.cover_bytes += tagging.write(embedding.plan, cover, embedding.undecoded)
        tagging.pending.prune()
        meter.save(rates_key(options.paint, write.encoding), embedded=store.saved)


def _settings(options: TagOptions) -> dict[str, object]:
    """Return what identifies a command, so that it can be resumed on any device."""
    plan = replace(options.plan, paths=())
    return {"plan": plan, "preset": options.paint.preset, "seed": options.seed}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tagging:
    """Handles each plan, and each painted cover."""

    writer: Writer
    paint: PaintOptions
    pending: PendingCovers
    emit: Emit

    def to_paint(self, plans: Iterable[AlbumPlan | Outcome]) -> Iterator[AlbumPlan]:
        """Yield the plans to paint; finish those that need no painting or are already painted."""
        for plan in plans:
            if isinstance(plan, Outcome):
                self.emit(FileFailed(outcome=plan))
            elif _may_be_unfinished(plan) and (painted := self.pending.find(plan)):
                self.write(plan, *painted)
            elif plan.action is Action.PAINT:
                if self.writer.run:  # fail before the model is loaded
                    self.writer.run.check_writable()
                yield plan
            elif plan.action is Action.FILL:
                self.emit(fill_album(plan, self.writer))
            else:
                self.emit(AlbumDone(plan=plan, reason=plan.reason))

    def write(self, plan: AlbumPlan, cover: Cover, undecoded: tuple[Outcome, ...]) -> int:
        """Write an album's cover. Returns the size of the picture in bytes."""
        cover = titled(cover, plan.album, self.paint)
        picture, beside = encoded(cover, self.writer.options)
        done = write_album(
            plan, picture, cover.provenance, self.writer, beside=beside, undecoded=undecoded
        )
        if is_complete(done.outcomes, undecoded):
            self.pending.drop(plan)
        self.emit(done)
        return len(picture.data)


def _may_be_unfinished(plan: AlbumPlan) -> bool:
    """Whether an interrupted run may have left something to write, such as the cover file."""
    if plan.action is Action.SKIP:
        own = all(track.own_art for track in plan.album.tracks)
        return plan.reason is Reason.HAS_ART and own
    return True


def _unfinished(
    plans: Iterable[AlbumPlan | Outcome], run: RunRecorder | None
) -> Iterator[AlbumPlan | Outcome]:
    """Skip albums that a resumed --force run has already finished."""
    for plan in plans:
        if (
            run is not None
            and isinstance(plan, AlbumPlan)
            and plan.action is Action.PAINT
            and plan.reason is Reason.FORCED
            and run.has_finished(plan.album)
        ):
            yield replace(plan, action=Action.SKIP, reason=Reason.FINISHED, targets=())
        else:
            yield plan
