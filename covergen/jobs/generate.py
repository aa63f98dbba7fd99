"""Paint pictures from audio files; no music file is written."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from covergen.core.cover_encoding import Encoding, encode
from covergen.pipeline.engines import paint_plans
from covergen.pipeline.events import AlbumDone
from covergen.pipeline.painting import Seeds
from covergen.pipeline.session import open_session
from covergen.pipeline.time_estimate import Meter
from covergen.pipeline.titling import note_untitled, titled

if TYPE_CHECKING:
    from covergen.core.album import AlbumEmbedding
    from covergen.core.cover import Cover
    from covergen.pipeline.events import CheckInterrupted, Emit
    from covergen.pipeline.options import PaintOptions
    from covergen.pipeline.track_outputs import TrackOutputs


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateOptions:
    """How to paint. `seed` is used unchanged for every picture."""

    paint: PaintOptions
    seed: int = 0
    encoding: Encoding = field(default_factory=Encoding)


def generate(
    outputs: TrackOutputs,
    options: GenerateOptions,
    emit: Emit,
    check_interrupted: CheckInterrupted,
) -> None:
    """Paint one picture per track.

    Raises ModelError, and Interrupted if `check_interrupted` raises it.
    """

    def encoded(embedding: AlbumEmbedding, painting: Cover) -> tuple[AlbumEmbedding, Cover, bytes]:
        cover = titled(painting, embedding.plan.album, options.paint)
        return embedding, cover, encode(cover, options.encoding).data

    with open_session() as session:
        painted = paint_plans(
            outputs.plans(session.scan_cache, emit, check_interrupted),
            options.paint,
            session.store,
            seeds=Seeds(run=options.seed, per="track", of=lambda _: (options.seed,)),
            meter=Meter(),
            then=encoded,
            emit=emit,
            check_interrupted=check_interrupted,
        )
        with closing(painted):  # ends the threads that use the store
            for embedding, cover, data in painted:
                note_untitled(cover, embedding.plan.album, options.paint, emit)
                done = outputs.write(embedding.plan, data)
                emit(
                    AlbumDone(
                        plan=embedding.plan,
                        reason=embedding.plan.reason,
                        outcomes=(*embedding.undecoded, done),
                        provenance=cover.provenance,
                    )
                )
