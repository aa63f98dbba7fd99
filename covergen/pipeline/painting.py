"""The stages from a plan to a cover: embed and paint, as functions over iterators."""

from __future__ import annotations

from collections import deque
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

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
    from typing import Literal

    import numpy as np
    from numpy.typing import NDArray

    from covergen.audio.clap import AudioEncoder
    from covergen.audio.store import EmbeddingStore
    from covergen.core.types import Album, AlbumPlan, Track
    from covergen.models.presets import Preset
    from covergen.pipeline.estimate import Meter
    from covergen.pipeline.events import CheckInterrupted, Emit
    from covergen.pipeline.model import Model
    from covergen.pipeline.options import PaintOptions

__all__ = ["Seeds", "embed_albums", "paint_plans"]

_WINDOWS_AT_ONCE = 8
_PRINT_SIZE = 1024  # pixels; prints are sharp at any size


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """The seeds of a run's covers: `of` returns those of an album, one for each cover.

    `run` is the seed of the run, and `per` what it paints covers for; both are recorded with each
    cover.
    """

    run: int
    per: Literal["album", "track"]
    of: Callable[[Album], Sequence[int]]


def paint_plans(
    plans: Iterator[AlbumPlan],
    options: PaintOptions,
    store: EmbeddingStore,
    *,
    seeds: Seeds,
    meter: Meter,
    emit: Emit,
    check_interrupted: CheckInterrupted,
) -> Generator[tuple[AlbumEmbedding, Cover]]:
    """Embed and paint albums; the model is loaded only if there is something to paint.

    Yields one cover for each seed of an album, in order. Raises ModelError, and whatever
    `check_interrupted` raises.
    """
    first = next(plans, None)
    if first is None:
        return
    with meter.loading():
        model = load_model(options, emit)
    options = replace(options, preset=replace(options.preset, sampling=model.sampling))
    embeddings = embed_albums(
        chain([first], plans),
        model.audio_encoder,
        store,
        windows=options.preset.windows,
        workers=options.workers,
        emit=emit,
        check_interrupted=check_interrupted,
    )
    covers = _paint_albums(
        meter.embeddings(embeddings),
        model,
        options,
        seeds=seeds,
        emit=emit,
        check_interrupted=check_interrupted,
    )
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


class _Requested(NamedTuple):
    """A picture to paint. `share` is the share of its album's covers that it is."""

    embedding: AlbumEmbedding
    request: PaintRequest
    share: float


def _paint_albums(
    embeddings: Iterable[AlbumEmbedding],
    model: Model,
    options: PaintOptions,
    *,
    seeds: Seeds,
    emit: Emit,
    check_interrupted: CheckInterrupted,
) -> Iterator[tuple[AlbumEmbedding, Cover]]:
    """Paint the covers of each album in batches."""
    requested: deque[_Requested] = deque()
    reported = 0.0  # albums of the current batch

    def requests() -> Iterator[PaintRequest]:
        for embedding in embeddings:
            album = embedding.plan.album
            album_seeds = seeds.of(album)
            for seed in album_seeds:
                style = _style_for(album, seed, options.preset.styles)
                request = _request(model, embedding.vector, seed, style)
                requested.append(_Requested(embedding, request, 1 / len(album_seeds)))
                yield request

    def report(pictures: int, share: float) -> None:
        nonlocal reported
        albums = share * sum(one.share for one in islice(requested, pictures))
        emit(Painting(albums=albums - reported))
        reported = albums

    batches = model.paint_batches(
        requests(),
        options.preset.sampling,
        batch_size=options.batch_size,
        check_interrupted=check_interrupted,
        on_step=report,
    )
    for pictures in batches:
        report(len(pictures), 1.0)
        reported = 0.0
        for pixels in pictures:
            one = requested.popleft()
            finished = _finish(pixels, options)
            provenance = _provenance(one, model, options.preset, seeds)
            provenance = replace(provenance, painted_size=len(finished))
            cover = Cover(pixels=finished, provenance=provenance)
            yield one.embedding, cover


def _provenance(one: _Requested, model: Model, preset: Preset, seeds: Seeds) -> Provenance:
    return Provenance(
        version=covergen.__version__,
        model=preset.name,
        base=preset.base,
        clap=preset.clap,
        adapter=model.adapter_sha256,
        revision=model.revision,
        loras=model.loras,
        vae=preset.vae or "",
        windows=preset.windows,
        padding=preset.padding or "",
        device=model.device,
        dtype=model.dtype,
        seed=one.request.seed,
        run_seed=seeds.run if seeds.per == "album" else -1,
        per=seeds.per,
        **asdict(replace(preset.sampling, title="none")),  # which is set later
        style=one.request.style,
        negative=preset.negative,
        prompt=one.request.prompt,
        album_key=one.embedding.plan.album.key,
    )


def _request(model: Model, vector: NDArray[np.float32], seed: int, style: str) -> PaintRequest:
    prompt = model.words.prompt_for(vector, seed=seed, style=style) if model.words else ""
    return PaintRequest(vector=vector, seed=seed, style=style, prompt=prompt)


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
