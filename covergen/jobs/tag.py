"""The main job: listen to a library, paint a cover for each album that lacks one, write it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from covergen.audio.store import EmbeddingStore
from covergen.core.picture import encode
from covergen.core.seeds import seed_for
from covergen.core.types import Action, Outcome
from covergen.jobs.estimate import Meter, rates_key
from covergen.jobs.events import AlbumDone, FileFailed
from covergen.jobs.plan import plan_library
from covergen.jobs.stages import paint_plans
from covergen.jobs.writing import fill_album, write_album
from covergen.library.memory import ScanMemory
from covergen.library.rewrite import remove_stale

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from covergen.core.types import AlbumPlan, Track
    from covergen.jobs.events import Checkpoint, Emit
    from covergen.jobs.options import TagOptions, WriteOptions
    from covergen.jobs.writing import OnWritten

__all__ = ["tag"]


def tag(options: TagOptions, emit: Emit, checkpoint: Checkpoint) -> None:
    """Run the plan. Covers are written as soon as they are painted.

    Raises ModelError, and Interrupted when `checkpoint` says so; what is painted by then has been
    written.
    """
    with closing(ScanMemory()) as memory, closing(EmbeddingStore()) as store:

        def on_written(track: Track) -> None:
            store.carry_over(track)
            memory.forget(track.path)

        meter = Meter()
        write = options.plan.write
        plans = _cleaned(plan_library(options.plan, memory, checkpoint))
        painted = paint_plans(
            _to_paint(plans, write, on_written, emit),
            options.paint,
            store,
            seed_of=lambda album: seed_for(album.key, options.seed),
            meter=meter,
            emit=emit,
            checkpoint=checkpoint,
        )
        with closing(painted):  # its threads end before the store does
            for embedding, cover in painted:
                picture = encode(cover, write.encoding)
                meter.cover_bytes += len(picture.data)
                emit(write_album(embedding, picture, cover.provenance, write, on_written))
        meter.save(rates_key(options.paint, write.encoding), heard=store.saved)


def _cleaned(plans: Iterable[AlbumPlan | Outcome]) -> Iterator[AlbumPlan | Outcome]:
    """Clear each folder of what a killed run left there, when its first album comes."""
    clean: set[Path] = set()
    for plan in plans:
        if not isinstance(plan, Outcome):
            folders = {plan.album.folder, *(track.path.parent for track in plan.album.tracks)}
            for folder in folders - clean:
                remove_stale(folder)
            clean = folders
        yield plan


def _to_paint(
    plans: Iterable[AlbumPlan | Outcome], write: WriteOptions, on_written: OnWritten, emit: Emit
) -> Iterator[AlbumPlan]:
    """Finish at once what needs no painting; hand on the rest."""
    for plan in plans:
        if isinstance(plan, Outcome):
            emit(FileFailed(outcome=plan))
        elif plan.action is Action.PAINT:
            yield plan
        elif plan.action is Action.FILL:
            emit(fill_album(plan, write, on_written))
        else:
            emit(AlbumDone(plan=plan, reason=plan.reason))
