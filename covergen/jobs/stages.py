"""The stages between a plan and a cover: functions over iterators, one album at a time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

import covergen
from covergen.audio.embed import embed_tracks, mean_embedding
from covergen.core.reasons import Reason
from covergen.core.types import AlbumEmbedding, Cover, Outcome, Provenance, TrackEmbedding
from covergen.diffusion.sampler import PaintRequest, paint
from covergen.jobs.events import AlbumDone, TrackHeard
from covergen.jobs.model import load_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from covergen.audio.clap import Tower
    from covergen.audio.store import EmbeddingStore
    from covergen.core.types import Album, AlbumPlan, Track
    from covergen.jobs.compute import Compute
    from covergen.jobs.estimate import Meter
    from covergen.jobs.events import Emit
    from covergen.jobs.model import Model
    from covergen.models.presets import Preset

    Checkpoint = Callable[[], None]

__all__ = ["PaintOptions", "embed_albums", "paint_plans"]

_WINDOWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintOptions:
    """With what, and how, covers are painted.

    `workers` threads decode audio. `batch_size` is in covers, None to choose by free memory.
    `lora_rank` is what the adapter must have, None for any.
    """

    preset: Preset
    compute: Compute
    workers: int
    batch_size: int | None = None
    lora_rank: int | None = None


def paint_plans(
    plans: Iterator[AlbumPlan],
    options: PaintOptions,
    store: EmbeddingStore,
    *,
    seed_of: Callable[[Album], int],
    meter: Meter,
    emit: Emit,
    checkpoint: Checkpoint,
) -> Iterator[tuple[AlbumEmbedding, Cover]]:
    """Hear and paint album after album; the model is loaded only if there is one to paint."""
    first = next(plans, None)
    if first is None:
        return
    model = load_model(options.preset, options.compute, lora_rank=options.lora_rank, emit=emit)
    embeddings = embed_albums(
        chain([first], plans),
        model.tower,
        store,
        windows=options.preset.windows,
        workers=options.workers,
        emit=emit,
        checkpoint=checkpoint,
    )
    covers = _paint_albums(
        meter.hearing(embeddings), model, options, seed_of=seed_of, checkpoint=checkpoint
    )
    yield from meter.working(covers)


def embed_albums(
    plans: Iterable[AlbumPlan],
    tower: Tower,
    store: EmbeddingStore,
    *,
    windows: int,
    workers: int,
    emit: Emit,
    checkpoint: Checkpoint,
) -> Iterator[AlbumEmbedding]:
    """Hear the tracks of each album; an album of which nothing can be heard ends here."""
    listening: deque[AlbumPlan] = deque()

    def tracks() -> Iterator[Track]:
        for plan in plans:
            listening.append(plan)
            yield from plan.album.tracks

    heard = embed_tracks(
        tracks(),
        tower,
        store,
        windows=windows,
        batch_size=_WINDOWS_AT_ONCE,
        workers=workers,
        checkpoint=checkpoint,
    )
    for first in heard:
        plan = listening.popleft()
        results = []
        for result in chain([first], islice(heard, len(plan.album.tracks) - 1)):
            results.append(result)
            emit(TrackHeard(plan=plan))
        vectors = [result.vector for result in results if isinstance(result, TrackEmbedding)]
        unheard = tuple(result for result in results if isinstance(result, Outcome))
        if vectors:
            yield AlbumEmbedding(plan=plan, vector=mean_embedding(vectors), unheard=unheard)
        else:
            emit(AlbumDone(plan=plan, reason=Reason.NOTHING_HEARD, outcomes=unheard))


def _paint_albums(
    embeddings: Iterable[AlbumEmbedding],
    model: Model,
    options: PaintOptions,
    *,
    seed_of: Callable[[Album], int],
    checkpoint: Checkpoint,
) -> Iterator[tuple[AlbumEmbedding, Cover]]:
    """Paint one cover for each album, in batches, each handed on as soon as it is there."""
    painting: deque[AlbumEmbedding] = deque()
    sampling = options.preset.sampling

    def requests() -> Iterator[PaintRequest]:
        for embedding in embeddings:
            painting.append(embedding)
            yield PaintRequest(vector=embedding.vector, seed=seed_of(embedding.plan.album))

    pictures = paint(
        model.painter,
        requests(),
        sampling,
        batch_size=options.batch_size,
        checkpoint=checkpoint,
    )
    for pixels in pictures:
        embedding = painting.popleft()
        album = embedding.plan.album
        provenance = Provenance(
            version=covergen.__version__,
            model=model.name,
            adapter=model.painter.adapter.sha256,
            seed=seed_of(album),
            steps=sampling.steps,
            guidance=sampling.guidance,
            scheduler=sampling.scheduler,
            album_key=album.key,
        )
        yield embedding, Cover(pixels=pixels, provenance=provenance)
