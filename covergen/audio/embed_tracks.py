"""Embed tracks: decode ahead of the model, run it in batches, and cache the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from covergen.audio.decoder_pool import Decoders
from covergen.core.album import Outcome, Track, TrackEmbedding
from covergen.core.errors import DecodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from covergen.audio.clap import AudioEncoder
    from covergen.audio.decoder_pool import Decoder
    from covergen.audio.embedding_cache import TrackVectors

    _Item = TypeVar("_Item")
    _Result: TypeAlias = "TrackEmbedding | Outcome | _Opened"


_MAX_AHEAD = 512  # windows: 131 MB
_NO_WINDOWS = np.empty(0, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Opened:
    """A track whose file had to be read.

    `vector` is its embedding if the same audio is cached for another file; otherwise `log_mel` is
    that of its windows, (N, 1, T, M).
    """

    track: Track
    key: str
    vector: NDArray[np.float32] | None
    log_mel: NDArray[np.float32]


def embed_tracks(
    tracks: Iterable[Track],
    audio_encoder: AudioEncoder,
    store: TrackVectors,
    *,
    windows: int,
    workers: int,
    check_interrupted: Callable[[], None],
    decoders: Decoders | None = None,
) -> Generator[TrackEmbedding | Outcome]:
    """Yield the embedding of each track in order, or an Outcome for one that cannot be decoded.

    `workers` processes decode one batch ahead of the encoder, memory permitting; no more tracks
    are consumed than that. `windows` is the number per track. Cached tracks need neither decoding
    nor the encoder's weights; every batch is saved to `store`. Raises ModelError, and whatever
    `check_interrupted` raises. Closing the iterator ends the processes and waits for the threads
    that use `store`, unless they are the caller's `decoders`, which stay open.
    """
    batch_size = audio_encoder.batch_size
    wanted = workers + max(1, batch_size // windows)
    ahead = max(1, min(wanted, _MAX_AHEAD // windows))

    def start(track: Track) -> Future[_Result]:
        check_interrupted()
        cached = store.find(track, windows, audio_encoder.id)
        if cached is None:
            return pool.submit(_open, track, windows, audio_encoder.id, store)
        return _finished(TrackEmbedding(track=track, vector=cached))

    def results() -> Iterator[_Result]:
        for future in _look_ahead(map(start, tracks), ahead):
            if not future.done():
                audio_encoder.load()  # while the first tracks are decoded
            yield future.result()

    with (
        closing(Decoders(workers, audio_encoder.log_mel))
        if decoders is None
        else nullcontext(decoders)
    ) as pool:
        for batch in _batches(results(), batch_size):
            check_interrupted()
            vectors = _embed_batch(batch, audio_encoder, batch_size)
            for opened, vector in vectors.items():
                store.put(opened.track, windows, opened.key, audio_encoder.id, vector)
            for result in batch:
                if isinstance(result, _Opened):
                    yield TrackEmbedding(track=result.track, vector=vectors[result])
                else:
                    yield result


def mean_embedding(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the mean of (D,) embeddings, normalized to unit L2 norm."""
    mean = np.mean(vectors, axis=0, dtype=np.float64)
    return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)


def _open(
    decoder: Decoder, track: Track, windows: int, audio_encoder: str, store: TrackVectors
) -> _Opened | Outcome:
    """Read a track and, unless its audio is cached, decode it. Runs in a thread."""
    try:
        key = decoder.read(track.path, windows)
        vector = store.find_key(key, audio_encoder)
        log_mel = _NO_WINDOWS if vector is not None else decoder.decode(track.path)
    except DecodeError as error:
        return Outcome.of_error(error)
    return _Opened(track=track, key=key, vector=vector, log_mel=log_mel)


def _finished(result: _Result) -> Future[_Result]:
    future: Future[_Result] = Future()
    future.set_result(result)
    return future


def _look_ahead(items: Iterator[_Item], count: int) -> Iterator[_Item]:
    """Yield the items, fetching up to `count` of them in advance."""
    fetched = deque(islice(items, count))
    while fetched:
        item = fetched.popleft()
        fetched.extend(islice(items, 1))
        yield item


def _batches(results: Iterator[_Result], batch_size: int) -> Iterator[list[_Result]]:
    """Group results into batches of at most `batch_size` windows, or one track.

    Results without windows are passed on at once if no track is waiting. A batch has at most
    `batch_size` results.
    """
    batch: list[_Result] = []
    filled = 0
    for result in results:
        windows = len(result.log_mel) if isinstance(result, _Opened) else 0
        if batch and filled + windows > batch_size:
            yield batch
            batch, filled = [], 0
        batch.append(result)
        filled += windows
        if not 0 < filled < batch_size or len(batch) >= batch_size:
            yield batch
            batch, filled = [], 0
    if batch:
        yield batch


def _embed_batch(
    batch: Iterable[_Result], audio_encoder: AudioEncoder, batch_size: int
) -> dict[_Opened, NDArray[np.float32]]:
    """Return the embedding of each opened track; run the encoder for those not cached."""
    opened = [result for result in batch if isinstance(result, _Opened)]
    vectors = {track: track.vector for track in opened if track.vector is not None}
    new = [track for track in opened if track.vector is None]
    if new:
        log_mel = np.concatenate([track.log_mel for track in new])
        starts = range(0, len(log_mel), batch_size)
        embedded = [audio_encoder.embed(log_mel[start : start + batch_size]) for start in starts]
        rows = iter(np.concatenate(embedded))
        for track in new:
            vectors[track] = mean_embedding(list(islice(rows, len(track.log_mel))))
    return vectors
