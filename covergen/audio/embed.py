"""Tracks to embeddings: decoded ahead of the model, heard in batches, remembered."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from covergen.audio.decoder import Decoders
from covergen.core.errors import DecodeError
from covergen.core.types import Outcome, TrackEmbedding

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from covergen.audio.clap import Tower
    from covergen.audio.decoder import Decoder
    from covergen.audio.store import EmbeddingStore
    from covergen.core.types import Track

    _Item = TypeVar("_Item")
    _Result: TypeAlias = "TrackEmbedding | Outcome | _Opened"

__all__ = ["embed_tracks", "mean_embedding"]

_MOST_AHEAD = 512  # windows: 131 MB
_UNSEEN = np.empty(0, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Opened:
    """A track whose file had to be opened.

    `vector` is its embedding where the same sound is known from elsewhere; else `log_mel` is that
    of its windows, (N, 1, T, M).
    """

    track: Track
    key: str
    vector: NDArray[np.float32] | None
    log_mel: NDArray[np.float32]


def embed_tracks(
    tracks: Iterable[Track],
    tower: Tower,
    store: EmbeddingStore,
    *,
    windows: int,
    batch_size: int,
    workers: int,
    checkpoint: Callable[[], None],
) -> Generator[TrackEmbedding | Outcome]:
    """Yield the embedding of each track in their order, an Outcome where one cannot be decoded.

    `workers` processes decode so far ahead that the tower has its next batch at hand, as far as
    their spectrograms fit into memory; no more is taken from `tracks`. `batch_size` is in windows,
    `windows` in windows a track. Whatever `store` holds costs neither decoding nor the tower's
    weights, and every batch is saved.
    Raises ModelError, and what `checkpoint` raises; closing the iterator ends the processes,
    and waits until nothing uses `store` any more.
    """
    wanted = workers + max(1, batch_size // windows)
    ahead = max(1, min(wanted, _MOST_AHEAD // windows))

    def begin(track: Track) -> Future[_Result]:
        checkpoint()
        known = store.find(track, windows, tower.id)
        if known is None:
            return decoders.submit(_open, track, windows, tower.id, store)
        return _finished(TrackEmbedding(track=track, vector=known))

    with closing(Decoders(workers, tower.log_mel)) as decoders:
        results = (future.result() for future in _look_ahead(map(begin, tracks), ahead))
        for batch in _batches(results, batch_size):
            checkpoint()
            vectors = _hear(batch, tower, batch_size)
            for opened, vector in vectors.items():
                store.put(opened.track, windows, opened.key, tower.id, vector)
            for result in batch:
                if isinstance(result, _Opened):
                    yield TrackEmbedding(track=result.track, vector=vectors[result])
                else:
                    yield result


def mean_embedding(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the mean of (D,) embeddings, brought back to unit length."""
    mean = np.mean(vectors, axis=0, dtype=np.float64)
    return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)


def _open(
    decoder: Decoder, track: Track, windows: int, tower: str, store: EmbeddingStore
) -> _Opened | Outcome:
    """Do a thread's work on a track: read and, if its sound is not known yet, decode."""
    try:
        key = decoder.read(track.path, windows)
        vector = store.find_key(key, tower)
        log_mel = _UNSEEN if vector is not None else decoder.decode(track.path)
    except DecodeError as error:
        return Outcome.of_error(error)
    return _Opened(track=track, key=key, vector=vector, log_mel=log_mel)


def _finished(result: _Result) -> Future[_Result]:
    future: Future[_Result] = Future()
    future.set_result(result)
    return future


def _look_ahead(items: Iterator[_Item], count: int) -> Iterator[_Item]:
    """Yield the items, keeping `count` more of them begun."""
    begun = deque(islice(items, count))
    while begun:
        item = begun.popleft()
        begun.extend(islice(items, 1))
        yield item


def _batches(results: Iterator[_Result], batch_size: int) -> Iterator[list[_Result]]:
    """Group results so that at most `batch_size` windows, or one track's, are to be heard.

    What waits for no window is passed on at once, and no more than `batch_size` results wait.
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


def _hear(
    batch: Iterable[_Result], tower: Tower, batch_size: int
) -> dict[_Opened, NDArray[np.float32]]:
    """Return the embedding of each track that was opened; the tower hears those not known yet."""
    opened = [result for result in batch if isinstance(result, _Opened)]
    vectors = {one: one.vector for one in opened if one.vector is not None}
    unknown = [one for one in opened if one.vector is None]
    if unknown:
        log_mel = np.concatenate([one.log_mel for one in unknown])
        starts = range(0, len(log_mel), batch_size)
        heard = [tower.embed(log_mel[start : start + batch_size]) for start in starts]
        rows = iter(np.concatenate(heard))
        for one in unknown:
            vectors[one] = mean_embedding(list(islice(rows, len(one.log_mel))))
    return vectors
