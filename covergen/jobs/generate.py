"""Paint pictures from audio files; no music file is written."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from covergen.core.cover_encoding import Encoding, encode
from covergen.pipeline.events import AlbumDone, CheckInterrupted, Emit
from covergen.pipeline.painting import Seeds
from covergen.pipeline.session import open_session
from covergen.pipeline.time_estimate import Meter
from covergen.pipeline.titled_covers import titled_covers

if TYPE_CHECKING:
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
    with open_session() as session:
        covers = titled_covers(
            outputs.plans(session.scan_cache, emit, check_interrupted),
            options.paint,
            session,
            seeds=Seeds(run=options.seed, per="track", of=lambda _: (options.seed,)),
            meter=Meter(),
            encode=lambda cover, _: encode(cover, options.encoding).data,
            emit=emit,
            check_interrupted=check_interrupted,
        )
        with closing(covers):
            for embedding, cover, data in covers:
                plan = embedding.plan
                done = (*embedding.undecoded, outputs.write(plan, data))
                emit(
                    AlbumDone(
                        plan=plan, reason=plan.reason, outcomes=done, provenance=cover.provenance
                    )
                )
