"""Paint from audio files into picture files; no music file is written."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from covergen.audio.store import EmbeddingStore
from covergen.core.picture import Encoding, encode
from covergen.core.reasons import Reason
from covergen.core.types import Outcome, Status
from covergen.jobs.estimate import Meter
from covergen.jobs.events import AlbumDone
from covergen.jobs.stages import PaintOptions, paint_plans
from covergen.library.memory import ScanMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from covergen.jobs.events import Emit
    from covergen.jobs.tracks import TrackOutputs

__all__ = ["GenerateOptions", "generate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateOptions:
    """How to paint. `seed` is every picture's, as it is."""

    paint: PaintOptions
    seed: int = 0
    encoding: Encoding = field(default_factory=Encoding)


def generate(
    outputs: TrackOutputs,
    options: GenerateOptions,
    emit: Emit,
    checkpoint: Callable[[], None],
) -> None:
    """Paint one picture for each track.

    Raises ModelError, and Interrupted when `checkpoint` says so.
    """
    with closing(ScanMemory()) as memory, closing(EmbeddingStore()) as store:
        painted = paint_plans(
            outputs.plans(memory, emit, checkpoint),
            options.paint,
            store,
            seed_of=lambda _: options.seed,
            meter=Meter(),
            emit=emit,
            checkpoint=checkpoint,
        )
        for embedding, cover in painted:
            output = outputs.take(embedding.plan.album)
            output.write_bytes(encode(cover, options.encoding).data)
            done = Outcome(path=output, status=Status.WRITTEN, reason=Reason.WRITTEN)
            emit(
                AlbumDone(
                    plan=embedding.plan,
                    reason=embedding.plan.reason,
                    outcomes=(done,),
                    provenance=cover.provenance,
                )
            )
            checkpoint()
