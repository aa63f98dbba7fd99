"""The main job: listen to a library, paint a cover for each album that lacks one, write it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from covergen.audio.store import EmbeddingStore
from covergen.core.picture import encode
from covergen.core.seeds import seed_for
from covergen.core.types import Action, Outcome
from covergen.jobs.estimate import Meter
from covergen.jobs.events import AlbumDone, FileFailed
from covergen.jobs.plan import PlanOptions, plan_library
from covergen.jobs.stages import PaintOptions, paint_plans
from covergen.jobs.writing import WriteOptions, fill_album, write_album
from covergen.library.memory import ScanMemory
from covergen.library.rewrite import remove_stale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from covergen.core.types import AlbumPlan, Track
    from covergen.jobs.events import Emit
    from covergen.jobs.writing import OnWritten

__all__ = ["TagOptions", "tag"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagOptions:
    """Everything that decides what a run does, but for the model."""

    plan: PlanOptions
    paint: PaintOptions
    seed: int = 0
    write: WriteOptions = field(default_factory=WriteOptions)


def tag(
    options: TagOptions,
    emit: Emit,
    checkpoint: Callable[[], None],
) -> None:
    """Run the plan. Covers are written as soon as they are painted.

    Raises ModelError, and Interrupted, between two albums, when `checkpoint` says so.
    """
    with closing(ScanMemory()) as memory, closing(EmbeddingStore()) as store:

        def on_written(track: Track) -> None:
            store.carry_over(track)
            memory.forget(track.path)

        meter = Meter()
        plans = plan_library(options.plan, memory, checkpoint)
        painted = paint_plans(
            _acted_upon(plans, options.write, on_written, emit),
            options.paint,
            store,
            seed_of=lambda album: seed_for(album.key, options.seed),
            meter=meter,
            emit=emit,
            checkpoint=checkpoint,
        )
        try:
            for embedding, cover in painted:
                picture = encode(cover, options.write.encoding)
                meter.cover_bytes += len(picture.data)
                done = write_album(embedding, picture, cover.provenance, options.write, on_written)
                emit(done)
                checkpoint()
        finally:
            meter.save(options.paint.preset.name, heard=store.saved)


def _acted_upon(
    plans: Iterable[AlbumPlan | Outcome], write: WriteOptions, on_written: OnWritten, emit: Emit
) -> Iterator[AlbumPlan]:
    """Finish at once what needs no painting; hand on the rest."""
    for plan in plans:
        if isinstance(plan, Outcome):
            emit(FileFailed(outcome=plan))
            continue
        for folder in {track.path.parent for track in plan.album.tracks}:
            remove_stale(folder)
        if plan.action is Action.PAINT:
            yield plan
        elif plan.action is Action.FILL:
            emit(fill_album(plan, write, on_written))
        else:
            emit(AlbumDone(plan=plan, reason=plan.reason))
