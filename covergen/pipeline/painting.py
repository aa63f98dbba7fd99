"""The stages from a plan to a cover: embed and paint, as functions over iterators."""

from __future__ import annotations

from collections import deque
from contextlib import closing
from dataclasses import asdict, replace
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
from covergen.pipeline.events import AlbumDone, Painting, TrackEmbedded
from covergen.pipeline.model import load_model

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from covergen.audio.clap import AudioEncoder
    from covergen.audio.store import EmbeddingStore
    from covergen.core.types import Album, AlbumPlan, Track
    from covergen.pipeline.estimate import Meter
    from covergen.pipeline.events import CheckInterrupted, Emit
    from covergen.pipeline.model import Model
    from covergen.pipeline.options import PaintOptions

__all__ = ["embed_albums", "paint_plans"]

_WINDOWS_AT_ONCE = 8
_PRINT_SIZE = 1024  # pixels; prints are sharp at any size


def paint_plans(
    plans: Iterator[AlbumPlan],
    options: PaintOptions,
    store: EmbeddingStore,
    *,
    seeds_of: Callable[[Album], Sequence[int]],
    meter: Meter,
    emit: Emit,
    check_interrupted: CheckInterrupted,
    on_painted: Callable[[AlbumEmbedding, Cover], None] = lambda *_: None,
) -> Generator[tuple[AlbumEmbedding, Cover]]:
    """Embed and paint albums; the model is loaded only if there is something to paint.

    Yields one cover for each seed of an album, in order. `on_painted` is called for all covers of
    a batch before the first of them is yielded. Raises ModelError, and whatever `check_interrupted`
    raises.
    """
    first = next(plans, None)
    if first is None:
        return
    with meter.loading():
        model = load_model(options, emit)
    embeddings = embed_albums(
        chain([first], plans),
        model.audio_encoder,
        store,
        windows=options.preset.windows,
        workers=options.workers,
        emit=emit,
        check_interrupted=check_interrupted,
    )
    batches = _paint_albums(
        meter.embeddings(embeddings),
        model,
        options,
        seeds_of=seeds_of,
        emit=emit,
        check_interrupted=check_interrupted,
    )
    covers = _unbatched(batches, on_painted)
    with closing(embeddings):
        yield from meter.painted(covers)


def embed_albums(
    plans: Iterable[AlbumPlan],
    audio_encoder: AudioEncoder,
    store: EmbeddingStore,
    *,
    windows: int,
    workers: int,
    emit: Emit,
    check_interrupted: CheckInterrupted,
) -> Generator[AlbumEmbedding]:
    """Embed the tracks of each album; yield one embedding per album, their mean.

    An album none of whose tracks can be decoded is emitted as AlbumDone, and not yielded.
    """
    started: deque[AlbumPlan] = deque()

    def tracks() -> Iterator[Track]:
        for plan in plans:
            started.append(plan)
            yield from plan.album.tracks

    embedded = embed_tracks(
        tracks(),
        audio_encoder,
        store,
        windows=windows,
        batch_size=_WINDOWS_AT_ONCE,
        workers=workers,
        check_interrupted=check_interrupted,
    )
    with closing(embedded):
        for first in embedded:
            plan = started.popleft()
            results = []
            for result in chain([first], islice(embedded, len(plan.album.tracks) - 1)):
                results.append(result)
                emit(TrackEmbedded(plan=plan))
            vectors = [result.vector for result in results if isinstance(result, TrackEmbedding)]
            failed = tuple(result for result in results if isinstance(result, Outcome))
            if vectors:
                yield AlbumEmbedding(plan=plan, vector=mean_embedding(vectors), undecoded=failed)
            else:
                emit(AlbumDone(plan=plan, reason=Reason.NOTHING_HEARD, outcomes=failed))


def _paint_albums(
    embeddings: Iterable[AlbumEmbedding],
    model: Model,
    options: PaintOptions,
    *,
    seeds_of: Callable[[Album], Sequence[int]],
    emit: Emit,
    check_interrupted: CheckInterrupted,
) -> Iterator[list[tuple[AlbumEmbedding, Cover]]]:
    """Paint the covers of each album; yield them batch by batch."""
    painting: deque[tuple[AlbumEmbedding, int, str]] = deque()
    shares: deque[float] = deque()  # the share of an album that each of these pictures is
    reported = 0.0  # albums of the current batch
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

    def report(pictures: int, share: float) -> None:
        nonlocal reported
        albums = share * sum(islice(shares, pictures))
        emit(Painting(albums=albums - reported))
        reported = albums

    def painted(pixels: NDArray[np.uint8]) -> tuple[AlbumEmbedding, Cover]:
        embedding, seed, style = painting.popleft()
        shares.popleft()
        pixels = _finish(pixels, options)
        provenance = Provenance(
            version=covergen.__version__,
            model=preset.name,
            base=preset.base,
            clap=preset.clap,
            adapter=model.adapter_sha256,
            windows=preset.windows,
            padding=preset.padding or "",
            device=model.device,
            dtype=model.dtype,
            seed=seed,
            **asdict(replace(sampling, title="none")),
            style=style,
            album_key=embedding.plan.album.key,
            painted_size=len(pixels),
        )
        return embedding, Cover(pixels=pixels, provenance=provenance)

    batches = model.paint_batches(
        requests(),
        sampling,
        batch_size=options.batch_size,
        check_interrupted=check_interrupted,
        on_step=report,
    )
    for pictures in batches:
        report(len(pictures), 1.0)
        reported = 0.0
        yield list(map(painted, pictures))


def _style_for(album: Album, seed: int, styles: Sequence[str]) -> str:
    """Return the style of an album's cover; the same album and seed always get the same one."""
    return styles[seed_for(album.key, seed) % len(styles)] if styles else ""


def _finish(pixels: NDArray[np.uint8], options: PaintOptions) -> NDArray[np.uint8]:
    """Apply the model's finish to a picture."""
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


def _unbatched(
    batches: Iterable[list[tuple[AlbumEmbedding, Cover]]],
    on_painted: Callable[[AlbumEmbedding, Cover], None],
) -> Iterator[tuple[AlbumEmbedding, Cover]]:
    for batch in batches:
        for embedding, cover in batch:
            on_painted(embedding, cover)
        yield from batch
