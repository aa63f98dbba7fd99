"""The albums of a run on their way to workers and back, in order. Knows nothing of Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from covergen.core.album import AlbumPlan, Outcome
from covergen.core.reasons import Reason
from covergen.pipeline.engines.ray_worker import Row

MOST_TRIES = 5
_TRIES_TOGETHER = 2


@dataclass(frozen=True, slots=True)
class Ordered:
    """An album to embed, and to paint once for each seed."""

    plan: AlbumPlan
    seeds: tuple[int, ...]


@dataclass(slots=True, eq=False)
class Chunk:
    """A few albums for one worker. `rows` is None until they are done.

    `number` is that of the last try, among those of all chunks, and `refs` are Ray's references to
    what the worker returns. `embedded` and `painted` are the tracks and albums that the progress
    bars have counted, in order.
    """

    albums: Sequence[Ordered]
    tries: int = 0
    number: int = 0
    refs: tuple[Any, Any] | None = None
    rows: Sequence[Row] | None = None
    embedded: int = 0
    painted: float = 0.0

    def divided(self) -> Iterator[Chunk]:
        """Yield a chunk for each album."""
        embedded = self.embedded
        for album in self.albums:
            own = min(embedded, len(album.plan.album.tracks))
            embedded -= own
            painted = self.painted / len(self.albums)
            yield Chunk([album], self.tries, embedded=own, painted=painted)


def chunks_of(albums: Iterator[Ordered], size: int) -> Iterator[Chunk]:
    """Group albums."""
    while chunk := list(islice(albums, size)):
        yield Chunk(chunk)


class Queue:
    """Chunks in order. `unfinished` are all that were taken from `chunks` and not yielded."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self._waiting: deque[Chunk] = deque()  # those of `unfinished` that no worker has
        self._exhausted = False
        self.unfinished: deque[Chunk] = deque()

    @property
    def is_done(self) -> bool:
        """Whether every chunk was yielded."""
        return self._exhausted and not self.unfinished

    def has_next(self, window: int) -> bool:
        """Whether a chunk can be sent, with at most `window` of them unfinished."""
        if not self._waiting and not self._exhausted and len(self.unfinished) < window:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._exhausted = True
            else:
                self.unfinished.append(chunk)
                self._waiting.append(chunk)
        return bool(self._waiting)

    def next(self) -> Chunk:
        """Return the chunk to send. Raises IndexError unless `has_next`."""
        return self._waiting.popleft()

    def retry(self, chunk: Chunk, *, lost: bool = True) -> Chunk | None:
        """Put a chunk in line again, first; return it instead if it was lost too often.

        After a few tries, its albums are tried one by one, so that only one of them fails.
        """
        chunk.refs = chunk.rows = None
        chunk.tries += lost
        if chunk.tries >= MOST_TRIES:
            chunk.rows = [_failed(album.plan) for album in chunk.albums]
            return chunk
        if chunk.tries < _TRIES_TOGETHER or len(chunk.albums) == 1:
            self._waiting.appendleft(chunk)
            return None
        place = self.unfinished.index(chunk)
        del self.unfinished[place]
        for alone in reversed(list(chunk.divided())):
            self.unfinished.insert(place, alone)
            self._waiting.appendleft(alone)
        return None


def _failed(plan: AlbumPlan) -> Row:
    message = f"{MOST_TRIES} workers ended while they embedded or painted its album"
    undecoded = (
        (
            k,
            Outcome.failed(track.path, Reason.UNDECODABLE, message),
        )
        for k, track in enumerate(plan.album.tracks)
    )
    return Row(vector=None, undecoded=tuple(undecoded))
