"""The stages from a plan to a cover: embed and paint, as functions over iterators."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, TypeVar

import covergen
from covergen.audio.embed_tracks import embed_tracks, mean_embedding
from covergen.core.album import Album, AlbumEmbedding, AlbumPlan, Outcome, Track, TrackEmbedding
from covergen.core.cover import Cover, PaintRequest, Provenance
from covergen.core.reasons import Reason
from covergen.core.seeds import seed_for
from covergen.finish.finishes import apply_finish
from covergen.pipeline.ahead import Ahead, Relay, Stopped
from covergen.pipeline.events import AlbumDone, CheckInterrupted, Emit, Painting, TrackEmbedded
from covergen.pipeline.load_model import find_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from covergen.audio.clap import AudioEncoder
    from covergen.audio.decoder_pool import Decoders
    from covergen.audio.embedding_cache import EmbeddingCache, TrackVectors
    from covergen.models.presets import Preset
    from covergen.pipeline.load_model import FoundModel, Model
    from covergen.pipeline.options import PaintOptions
    from covergen.pipeline.time_estimate import Meter

    Finish: TypeAlias = Callable[[AlbumEmbedding, NDArray[np.uint8], Provenance], "Result"]


Item = TypeVar("Item")
Result = TypeVar("Result")

_ALBUMS_AHEAD = 64  # embedded while a GPU paints: the largest batch
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """The seeds of a run's covers: `of` returns those of an album, one for each cover.

    It may be called in another thread than the one that paints the plans. `run` is the seed of the
    run, and `per` what it paints covers for; both are recorded with each cover.
    """

    run: int
    per: Literal["album", "track"]
    of: Callable[[Album], Sequence[int]]

    @classmethod
    def by_key(cls, run: int, per: Literal["album", "track"] = "album") -> Seeds:
        """One cover for each album, with a seed that depends on the album's key alone."""
        return cls(run=run, per=per, of=lambda album: (seed_for(album.key, run),))


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

    Yields what `then` makes of each cover, one for each seed of an album, in order. The stages
    overlap: one thread paints, a few finish the pictures and call `then`, and where a GPU paints,
    one embeds the next albums. At most two batches of pictures are kept, one of them being painted.
    `plans`, `emit` and `check_interrupted` are only used by the calling thread. Raises ModelError,
    and whatever `then` or `check_interrupted` raises, after the covers painted so far. Closing the
    iterator ends the threads.
    """
    first = next(plans, None)
    if first is None:
        return
    relay = Relay(chain([first], plans), emit, check_interrupted)
    with ExitStack() as stack:
        found = find_model(options, emit)
        finishers = stack.enter_context(finishing(found.workers))

        def finish(
            embedding: AlbumEmbedding, pixels: NDArray[np.uint8], provenance: Provenance
        ) -> Future[Item]:
            return finishers.submit(_finish, options, then, embedding, pixels, provenance)

        batches = _paint(found, store, seeds, meter, relay, finish)
        painted = Ahead(batches, 1, name="paint")
        stack.callback(painted.close, check_interrupted)  # a step may take long
        stack.callback(relay.stop)
        yield from _taken(painted, relay)


@contextmanager
def finishing(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that finish pictures. At the end of the context, only what they do is waited for."""
    with ThreadPoolExecutor(threads, "finish") as finishers:
        try:
            yield finishers
        finally:
            finishers.shutdown(wait=False, cancel_futures=True)


def _taken(painted: Ahead[list[Future[Item]]], relay: Relay[AlbumPlan]) -> Iterator[Item]:
    """Yield the items in order; serve the other threads in between and while waiting."""
    try:
        while True:
            while not painted.is_ready(0 if relay.turn() else _POLL_SECONDS):
                pass
            for future in next(painted):
                while relay.turn() and not future.done():
                    pass
                while not wait([future], _POLL_SECONDS).done:
                    relay.turn()
                yield future.result()
    except (StopIteration, Stopped):
        relay.finish()
    except Exception:
        relay.flush()
        raise


def _paint(
    found: FoundModel,
    store: EmbeddingCache,
    seeds: Seeds,
    meter: Meter,
    relay: Relay[AlbumPlan],
    finish: Finish[Result],
) -> Generator[list[Result]]:
    """Paint what the relay brings. The painter is loaded after the first album is embedded.

    On the CPU, embedding at the same time would be no faster.
    """
    embedded = embed_albums(
        relay.items(),
        found.audio_encoder,
        store,
        windows=found.options.preset.windows,
        workers=found.workers,
        emit=relay.emit,
        check_interrupted=relay.check_stopped,
    )
    on_cpu = found.compute.device.type == "cpu"
    source = embedded if on_cpu else Ahead(embedded, _ALBUMS_AHEAD, name="embed")
    with closing(source):
        embeddings = meter.embeddings(source)
        first = next(embeddings, None)
        if first is None:
            return
        with meter.loading():
            model = found.load(relay.emit)
        batches = paint_albums(
            chain([first], embeddings),
            model,
            found.options,
            seeds=seeds,
            finish=finish,
            emit=relay.emit,
            check_interrupted=relay.check_stopped,
        )
        yield from meter.painted(batches)


def embed_albums(
    plans: Iterable[AlbumPlan],
    audio_encoder: AudioEncoder,
    store: TrackVectors,
    *,
    windows: int,
    workers: int,
    emit: Emit,
    check_interrupted: CheckInterrupted,
    decoders: Decoders | None = None,
) -> Generator[AlbumEmbedding]:
    """Embed the tracks of each album; yield one embedding per album, their mean.

    An album none of whose tracks can be decoded is emitted as AlbumDone, and not yielded.
    `decoders` are as in `embed_tracks`.
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
        workers=workers,
        check_interrupted=check_interrupted,
        decoders=decoders,
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


def paint_albums(
    embeddings: Iterable[AlbumEmbedding],
    model: Model,
    options: PaintOptions,
    *,
    seeds: Seeds,
    finish: Finish[Result],
    emit: Emit,
    check_interrupted: CheckInterrupted,
) -> Generator[list[Result]]:
    """Paint the covers of each album; yield what `finish` returns for each batch of pictures."""
    options = replace(options, preset=replace(options.preset, sampling=model.sampling))
    requested: deque[_Requested] = deque()
    reported = 0.0  # albums of the current batch

    def requests() -> Iterator[PaintRequest]:
        for embedding in embeddings:
            album = embedding.plan.album
            album_seeds = seeds.of(album)
            for seed in album_seeds:
                style = style_for(album, seed, options.preset.styles)
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
        done = [requested.popleft() for _ in pictures]
        yield [
            finish(one.embedding, pixels, _provenance(one, model, options.preset, seeds))
            for one, pixels in zip(done, pictures, strict=True)
        ]


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


def style_for(album: Album, seed: int, styles: Sequence[str]) -> str:
    """Return the style of an album's cover; the same album and seed always get the same one."""
    return styles[seed_for(album.key, seed) % len(styles)] if styles else ""


def _finish(
    options: PaintOptions,
    then: Callable[[AlbumEmbedding, Cover], Item],
    embedding: AlbumEmbedding,
    pixels: NDArray[np.uint8],
    provenance: Provenance,
) -> Item:
    """Make a cover of a picture, and `then` what the job needs. Runs in a thread."""
    return then(embedding, cover_of(pixels, provenance, options))


def cover_of(pixels: NDArray[np.uint8], provenance: Provenance, options: PaintOptions) -> Cover:
    """Apply the model's finish to a picture."""
    pixels = apply_finish(pixels, options.preset.sampling, options.size)
    return Cover(pixels=pixels, provenance=replace(provenance, painted_size=len(pixels)))
