"""The stages between a plan and a cover: functions over iterators, one album at a time."""

from __future__ import annotations

from collections import deque
from contextlib import closing
from dataclasses import asdict
from itertools import chain, islice
from typing import TYPE_CHECKING

import covergen
from covergen.audio.embed import embed_tracks, mean_embedding
from covergen.core.reasons import Reason
from covergen.core.seeds import seed_for
from covergen.core.types import (
    AlbumEmbedding,
    Cover,
    Outcome,
    PaintRequest,
    Provenance,
    TrackEmbedding,
)
from covergen.pipeline.events import AlbumDone, Painting, TrackHeard
from covergen.pipeline.model import load_model

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from covergen.audio.clap import Tower
    from covergen.audio.store import EmbeddingStore
    from covergen.core.types import Album, AlbumPlan, Track
    from covergen.pipeline.estimate import Meter
    from covergen.pipeline.events import Checkpoint, Emit
    from covergen.pipeline.model import Model
    from covergen.pipeline.options import PaintOptions

__all__ = ["embed_albums", "paint_plans"]

_WINDOWS_AT_ONCE = 8
_PRINT_SIZE = 1024  # pixels; a print is sharp at any size


def paint_plans(
    plans: Iterator[AlbumPlan],
    options: PaintOptions,
    store: EmbeddingStore,
    *,
    seeds_of: Callable[[Album], Sequence[int]],
    meter: Meter,
    emit: Emit,
    checkpoint: Checkpoint,
    on_painted: Callable[[AlbumEmbedding, Cover], None] = lambda *_: None,
) -> Generator[tuple[AlbumEmbedding, Cover]]:
    """Hear and paint album after album; the model is loaded only if there is one to paint.

    An album gets a cover for each of its seeds, one after another. `on_painted` is called with all
    covers of a batch before the first of them is handed on.
    """
    first = next(plans, None)
    if first is None:
        return
    with meter.loading():
        model = load_model(options, emit)
    embeddings = embed_albums(
        chain([first], plans),
        model.tower,
        store,
        windows=options.preset.windows,
        workers=options.workers,
        emit=emit,
        checkpoint=checkpoint,
    )
    batches = _paint_albums(
        meter.hearing(embeddings),
        model,
        options,
        seeds_of=seeds_of,
        emit=emit,
        checkpoint=checkpoint,
    )
    covers = _handed_on(batches, on_painted)
    with closing(embeddings):
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
) -> Generator[AlbumEmbedding]:
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
    with closing(heard):
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
    seeds_of: Callable[[Album], Sequence[int]],
    emit: Emit,
    checkpoint: Checkpoint,
) -> Iterator[list[tuple[AlbumEmbedding, Cover]]]:
    """Paint the covers of each album, batch by batch."""
    painting: deque[tuple[AlbumEmbedding, int, str]] = deque()
    shares: deque[float] = deque()  # of an album, for each of these pictures
    told = 0.0
    preset = options.preset
    sampling = preset.sampling

    def requests() -> Iterator[PaintRequest]:
        for embedding in embeddings:
            seeds = seeds_of(embedding.plan.album)
            for seed in seeds:
                style = _style_for(embedding.plan.album, seed, preset.styles)
                painting.append((embedding, seed, style))
                shares.append(1 / len(seeds))
                yield PaintRequest(vector=embedding.vector, seed=seed, style=style)

    def tell(pictures: int, share: float) -> None:
        nonlocal told
        albums = share * sum(islice(shares, pictures))
        emit(Painting(albums=albums - told))
        told = albums

    def painted(pixels: NDArray[np.uint8]) -> tuple[AlbumEmbedding, Cover]:
        embedding, seed, style = painting.popleft()
        shares.popleft()
        provenance = Provenance(
            version=covergen.__version__,
            model=preset.name,
            base=preset.base,
            clap=preset.clap,
            adapter=model.adapter_sha256,
            windows=preset.windows,
            padding=preset.padding or "",
            seed=seed,
            **asdict(sampling),
            style=style,
            album_key=embedding.plan.album.key,
        )
        return embedding, Cover(pixels=_finish(pixels, options), provenance=provenance)

    batches = model.paint_batches(
        requests(),
        sampling,
        batch_size=options.batch_size,
        checkpoint=checkpoint,
        on_step=tell,
    )
    for pictures in batches:
        tell(len(pictures), 1.0)
        told = 0.0
        yield list(map(painted, pictures))


def _style_for(album: Album, seed: int, styles: Sequence[str]) -> str:
    """The style of an album's cover with this seed: always the same one of these styles."""
    return styles[seed_for(album.key, seed) % len(styles)] if styles else ""


def _finish(pixels: NDArray[np.uint8], options: PaintOptions) -> NDArray[np.uint8]:
    """What the model's finish makes of a picture."""
    sampling = options.preset.sampling
    if sampling.finish == "none":
        return pixels
    from covergen.finish.screen_print import screen_print

    return screen_print(
        pixels,
        size=options.size or _PRINT_SIZE,
        inks=sampling.inks,
        paper=sampling.finish == "paper",
    )


def _handed_on(
    batches: Iterable[list[tuple[AlbumEmbedding, Cover]]],
    on_painted: Callable[[AlbumEmbedding, Cover], None],
) -> Iterator[tuple[AlbumEmbedding, Cover]]:
    for batch in batches:
        for embedding, cover in batch:
            on_painted(embedding, cover)
        yield from batch
