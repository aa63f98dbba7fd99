"""Where albums are embedded and painted: in this process, or by workers on a Ray cluster.

Both engines have the same signature and keep the same promises.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from covergen.compute.device import worker_count
from covergen.core.album import AlbumEmbedding, AlbumPlan
from covergen.core.cover import Cover
from covergen.pipeline.events import CheckInterrupted, Emit

if TYPE_CHECKING:
    from covergen.audio.embedding_cache import EmbeddingCache
    from covergen.pipeline.options import PaintOptions
    from covergen.pipeline.painting import Seeds
    from covergen.pipeline.time_estimate import Meter


Item = TypeVar("Item")


def paint_plans(
    plans: Iterator[AlbumPlan],
    options: PaintOptions,
    store: EmbeddingCache,
    *,
    seeds: Seeds,
    meter: Meter,
    then: Callable[[AlbumEmbedding, Cover], Item],
    emit: Emit,
    check_interrupted: CheckInterrupted,
) -> Generator[Item]:
    """Embed and paint albums; the model is loaded only if there is something to paint.

    Yields what `then` makes of each cover, one for each seed of an album, in order. `then` is
    called in threads; `plans`, `emit` and `check_interrupted` are only used by the calling thread.
    Raises ModelError, ClusterError, and whatever `then` or `check_interrupted` raises, after the
    covers painted so far. Closing the iterator ends the threads and the workers.
    """
    if options.ray is None:
        from covergen.pipeline import painting

        engine = painting.paint_plans
    else:
        from covergen.pipeline.engines import ray_driver

        engine = ray_driver.paint_plans
    return engine(
        plans,
        options,
        store,
        seeds=seeds,
        meter=meter,
        then=then,
        emit=emit,
        check_interrupted=check_interrupted,
    )


def embed_plans(
    plans: Iterator[AlbumPlan],
    options: PaintOptions,
    store: EmbeddingCache,
    *,
    emit: Emit,
    check_interrupted: CheckInterrupted,
) -> Generator[AlbumEmbedding]:
    """Embed albums; an album none of whose tracks can be decoded is emitted as AlbumDone.

    Raises ModelError, UsageError for the device, ClusterError, and whatever `check_interrupted`
    raises.
    """
    if options.ray is not None:
        from covergen.pipeline.engines import ray_driver

        yield from ray_driver.embed_plans(
            plans, options, store, emit=emit, check_interrupted=check_interrupted
        )
        return
    from covergen.pipeline.load_model import find_audio_encoder
    from covergen.pipeline.painting import embed_albums

    audio_encoder = find_audio_encoder(options, emit)
    embedded = embed_albums(
        plans,
        audio_encoder,
        store,
        windows=options.preset.windows,
        workers=worker_count(options.workers, audio_encoder.device),
        emit=emit,
        check_interrupted=check_interrupted,
    )
    with closing(embedded):  # ends the threads that use the store
        yield from embedded
