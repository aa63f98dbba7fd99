"""The main job: embed a library, paint a cover for each album that lacks one, and write it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from covergen.core.album import Action, AlbumPlan, Outcome
from covergen.core.reasons import Reason
from covergen.core.seeds import seed_for
from covergen.journal.open_run import open_run
from covergen.pipeline.engines import paint_plans
from covergen.pipeline.events import AlbumDone, FileFailed
from covergen.pipeline.painting import Seeds
from covergen.pipeline.plan_library import plan_library
from covergen.pipeline.session import open_session
from covergen.pipeline.time_estimate import Meter, rates_key
from covergen.pipeline.titling import note_untitled, titled
from covergen.pipeline.write_album import Writer, cleaned, encoded, fill_album, write_album

if TYPE_CHECKING:
    from covergen.core.album import AlbumEmbedding
    from covergen.core.cover import Cover
    from covergen.core.picture import Picture
    from covergen.journal.recorder import RunRecorder
    from covergen.pipeline.events import CheckInterrupted, Emit
    from covergen.pipeline.options import PaintOptions, TagOptions, WriteOptions


def tag(options: TagOptions, emit: Emit, check_interrupted: CheckInterrupted) -> None:
    """Paint and write covers; each is written as soon as its batch is painted.

    An interrupted run with the same options is resumed. Raises BusyError, JournalError,
    ModelError, and Interrupted if `check_interrupted` raises it; covers painted so far are written.
    """
    plan, write = options.plan, options.plan.write
    run = open_run("tag", plan.paths, _settings(options), journal=write.journal)
    with open_session(run) as session:
        meter = Meter()
        writer = Writer(options=write, on_written=session.note_written, run=session.run)
        tagging = _Tagging(writer=writer, paint=options.paint, emit=emit)
        plans = plan_library(plan, session.scan_cache, check_interrupted)
        painted = paint_plans(
            tagging.to_paint(cleaned(_unfinished(plans, session.run, write))),
            options.paint,
            session.store,
            seeds=Seeds(
                run=options.seed,
                per=plan.scan.per,
                of=lambda album: (seed_for(album.key, options.seed),),
            ),
            meter=meter,
            then=tagging.encode,
            emit=emit,
            check_interrupted=check_interrupted,
        )
        with closing(painted):  # ends the threads that use the store
            for one in painted:
                meter.cover_bytes += tagging.write(one)
        meter.save(rates_key(options.paint, write.encoding), embedded=session.store.saved)


def _settings(options: TagOptions) -> dict[str, object]:
    """Return what identifies a command, so that it can be resumed on any device."""
    plan = replace(options.plan, paths=())
    paint = options.paint
    return {"plan": plan, "preset": paint.preset, "size": paint.size, "seed": options.seed}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tagging:
    """Handles each plan, and each painted cover."""

    writer: Writer
    paint: PaintOptions
    emit: Emit

    def to_paint(self, plans: Iterable[AlbumPlan | Outcome]) -> Iterator[AlbumPlan]:
        """Yield the plans to paint; finish those that need no painting."""
        for plan in plans:
            if isinstance(plan, Outcome):
                self.emit(FileFailed(outcome=plan))
            elif plan.action is Action.PAINT:
                if self.writer.run:  # fail before the model is loaded
                    self.writer.run.check_writable()
                yield plan
            elif plan.action is Action.FILL:
                self.emit(fill_album(plan, self.writer))
            else:
                self.emit(AlbumDone(plan=plan, reason=plan.reason))

    def encode(self, embedding: AlbumEmbedding, cover: Cover) -> _Encoded:
        """Set an album's title on its cover, and encode it."""
        cover = titled(cover, embedding.plan.album, self.paint)
        picture, beside = encoded(cover, self.writer.options)
        return _Encoded(embedding, cover, picture, beside)

    def write(self, one: _Encoded) -> int:
        """Write an album's cover. Returns the size of the picture in bytes."""
        plan = one.embedding.plan
        note_untitled(one.cover, plan.album, self.paint, self.emit)
        self.emit(
            write_album(
                plan,
                one.picture,
                one.cover.provenance,
                self.writer,
                beside=one.beside,
                undecoded=one.embedding.undecoded,
            )
        )
        return len(one.picture.data)


class _Encoded(NamedTuple):
    """A cover with its pictures: for the tracks, and for the cover file."""

    embedding: AlbumEmbedding
    cover: Cover
    picture: Picture
    beside: Picture


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
