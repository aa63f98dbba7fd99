"""The main job: listen to a library, paint a cover for each album that lacks one, write it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from covergen.audio.store import EmbeddingStore
from covergen.core.seeds import seed_for
from covergen.core.types import Action, Outcome
from covergen.jobs.events import AlbumDone, FileFailed
from covergen.jobs.plan import PlanOptions, plan_library
from covergen.jobs.stages import PaintOptions, paint_plans
from covergen.jobs.writing import WriteOptions, fill_album, write_album
from covergen.library.memory import ScanMemory
from covergen.library.rewrite import remove_stale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from covergen.core.types import AlbumPlan
    from covergen.jobs.events import Emit

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
        plans = plan_library(options.plan, memory, checkpoint)
        painted = paint_plans(
            _acted_upon(plans, options.write, store, emit),
            options.paint,
            store,
            seed_of=lambda album: seed_for(album.key, options.seed),
            emit=emit,
            checkpoint=checkpoint,
        )
        for embedding, cover in painted:
            emit(write_album(embedding, cover, options.write, store))
            checkpoint()


def _acted_upon(
    plans: Iterable[AlbumPlan | Outcome], write: WriteOptions, store: EmbeddingStore, emit: Emit
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
            emit(fill_album(plan, write, store))
        else:
            emit(AlbumDone(plan=plan, reason=plan.reason))
