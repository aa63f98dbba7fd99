"""The driver of the Ray engine: sends albums to workers, and yields what they return in order.

Workers are actors that Ray never restarts. The driver asks for one more than the cluster has room
for, so that a machine that joins, or is free again, is used; and it sends what a lost worker had to
another one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from covergen.compute.device import worker_count
from covergen.core.album import Album, AlbumEmbedding, AlbumPlan
from covergen.core.cover import Cover
from covergen.core.errors import ClusterError, Interrupted, ModelError
from covergen.core.reasons import Reason
from covergen.models.presets import UNNAMED
from covergen.pipeline.engines.ray_cluster import connected, find_machines, first_line, share_of
from covergen.pipeline.engines.ray_queue import Chunk, Ordered, Queue, chunks_of
from covergen.pipeline.engines.ray_worker import Failure, Order, Progress, Setup, Worker
from covergen.pipeline.events import (
    AlbumDone,
    CheckInterrupted,
    CompilingFailed,
    Emit,
    Event,
    ModelLoading,
    Painting,
    TrackEmbedded,
    WorkerUnfit,
)
from covergen.pipeline.painting import finishing

if TYPE_CHECKING:
    from covergen.audio.embedding_cache import EmbeddingCache
    from covergen.pipeline.engines.ray_cluster import Share
    from covergen.pipeline.engines.ray_worker import Row, Started
    from covergen.pipeline.options import PaintOptions
    from covergen.pipeline.painting import Seeds
    from covergen.pipeline.time_estimate import Meter


Item = TypeVar("Item")

_AT_ONCE = 2  # chunks that a worker has: one is embedded while the other is painted
_WINDOW = 4  # chunks under way or finished, for each worker
_ALBUMS_AT_ONCE = 8  # in a chunk, which is painted as a batch
_MOST_LOSSES = 10
_POLL_SECONDS = 0.2
_SECONDS_BETWEEN_REQUESTS = 1.0
_SECONDS_TO_START = 30.0  # another worker has, if the only one that started is unfit


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
    """Embed and paint albums on a cluster, as `painting.paint_plans` does in this process."""
    setup = Setup(
        options=options, paints=True, run_seed=seeds.run, per=seeds.per, folder=Path.cwd()
    )
    finished = _run(plans, setup, store, seeds.of, emit, check_interrupted)
    with closing(finished), finishing(worker_count(options.workers, "cpu")) as finishers:
        batches = (
            [
                finishers.submit(then, embedding, cover)
                for embedding, covers in albums
                for cover in covers
            ]
            for albums in finished
        )
        for batch in meter.painted(batches):
            for future in batch:
                yield future.result()


def embed_plans(
    plans: Iterator[AlbumPlan],
    options: PaintOptions,
    store: EmbeddingCache,
    *,
    emit: Emit,
    check_interrupted: CheckInterrupted,
) -> Generator[AlbumEmbedding]:
    """Embed albums on a cluster, as `painting.embed_albums` does in this process."""
    setup = Setup(options=options, paints=False, run_seed=0, per="track", folder=Path.cwd())
    finished = _run(plans, setup, store, lambda _album: (), emit, check_interrupted)
    with closing(finished):
        for albums in finished:
            for embedding, _ in albums:
                yield embedding


def _run(
    plans: Iterator[AlbumPlan],
    setup: Setup,
    store: EmbeddingCache,
    seeds_of: Callable[[Album], Sequence[int]],
    emit: Emit,
    check_interrupted: CheckInterrupted,
) -> Generator[list[tuple[AlbumEmbedding, Sequence[Cover]]]]:
    """Yield each chunk's albums, with their embedding and covers, in the order of the plans."""
    albums = (Ordered(plan, tuple(seeds_of(plan.album))) for plan in plans)
    first = next(albums, None)
    if first is None or setup.options.ray is None:
        return
    emit(ModelLoading(name=_model_name(setup)))
    with connected(setup.options.ray):
        check_interrupted()
        share = share_of(setup.options, find_machines(), paints=setup.paints)
        setup = replace(setup, gpu=share.gpus > 0)
        chunks = chunks_of(chain([first], albums), setup.options.batch_size or _ALBUMS_AT_ONCE)
        driver = _Driver(Queue(chunks), setup, share, store, emit, check_interrupted)
        with closing(driver):
            for chunk, covers in driver.run():
                yield list(driver.albums(chunk, covers))


def _model_name(setup: Setup) -> str:
    preset = setup.options.preset
    if not setup.paints:
        return ""
    return Path(preset.adapter or preset.base).name if preset.name == UNNAMED else preset.name


@dataclass(slots=True, eq=False)
class _Lent:
    """A worker that the driver asked for. `started` is None until it has loaded the model.

    `starting` is Ray's reference to that, and `progress` to its Progress; `asked` is when it was
    asked for that. An unfit worker only keeps others from being put there.
    """

    actor: Any
    starting: Any
    started: Started | None = None
    unfit: bool = False
    progress: Any = None
    asked: float = 0.0
    chunks: list[Chunk] = field(default_factory=list)


class _Driver:
    """Sends the chunks of a queue to workers, and yields them when they are done."""

    def __init__(
        self,
        queue: Queue,
        setup: Setup,
        share: Share,
        store: EmbeddingCache,
        emit: Emit,
        check_interrupted: CheckInterrupted,
    ) -> None:
        import ray

        self._setup = ray.put(setup)
        self._windows = setup.options.preset.windows
        self._paints = setup.paints
        self._share = share
        self._store = store
        self._emit = emit
        self._check_interrupted = check_interrupted
        self._actor = ray.remote(Worker).options(
            num_cpus=share.cpus, num_gpus=share.gpus, max_restarts=0, max_concurrency=_AT_ONCE + 1
        )  # the one more is for `progress`
        self._workers: list[_Lent] = []
        self._failure: Failure | None = None  # of a worker, if none is left that started
        self._failed_at = 0.0
        self._queue = queue
        self._asked = 0.0
        self._sent = 0
        self._lost = 0  # workers since a chunk was finished
        self._told: set[Event | type[Event]] = set()

    def close(self) -> None:
        """End all workers."""
        import ray

        for worker in self._workers:
            ray.kill(worker.actor)
        self._workers.clear()

    def run(self) -> Generator[tuple[Chunk, Sequence[Sequence[Cover]]]]:
        """Yield chunks with their covers, in order. When interrupted, those that are finished."""
        unfinished = self._queue.unfinished
        try:
            self._fill()
            while not self._queue.is_done:
                self._check_interrupted()
                self._check_fit()
                self._wait()
                while unfinished and unfinished[0].rows is not None:
                    covers = self._covers(unfinished[0])
                    if covers is not None:
                        yield unfinished.popleft(), covers
                self._fill()
        except Interrupted:
            for chunk in unfinished:
                if chunk.rows is not None and (covers := self._covers(chunk, stopping=True)):
                    yield chunk, covers
            raise

    def albums(
        self, chunk: Chunk, covers: Sequence[Sequence[Cover]]
    ) -> Iterator[tuple[AlbumEmbedding, Sequence[Cover]]]:
        """Yield the albums of a chunk; emit those in which nothing could be heard."""
        for album, row, painted in zip(chunk.albums, chunk.rows or (), covers, strict=True):
            plan = album.plan
            undecoded = tuple(
                replace(outcome, path=plan.album.tracks[k].path) for k, outcome in row.undecoded
            )
            if row.vector is None:
                self._emit(AlbumDone(plan=plan, reason=Reason.NOTHING_HEARD, outcomes=undecoded))
            else:
                vector = row.vector.copy()  # as in _covers
                yield AlbumEmbedding(plan=plan, vector=vector, undecoded=undecoded), painted

    def _fill(self) -> None:
        """Send chunks to workers that are free, in order."""
        ready = [(worker, worker.started) for worker in self._workers if worker.started]
        while self._queue.has_next(_WINDOW * max(1, len(ready))):
            free = (one for one in ready if len(one[0].chunks) < _AT_ONCE)
            worker, started = min(free, key=lambda one: len(one[0].chunks), default=(None, None))
            if worker is None or started is None:
                self._ask_for_workers()
                break
            self._send(self._queue.next(), worker, started)

    def _ask_for_workers(self) -> None:
        """Ask for as many workers as there is room for, and one to wait for more room."""
        if time.monotonic() - self._asked < _SECONDS_BETWEEN_REQUESTS:
            return
        self._asked = time.monotonic()
        starting = sum(not (worker.started or worker.unfit) for worker in self._workers)
        for _ in range(1 + self._share.free() - starting):
            actor = self._actor.remote(self._setup)
            self._workers.append(_Lent(actor, actor.start.remote()))

    def _send(self, chunk: Chunk, worker: _Lent, started: Started) -> None:
        orders = [self._order_of(album, started) for album in chunk.albums]
        self._sent += 1
        chunk.number = self._sent
        work = worker.actor.work.options(num_returns=2)
        chunk.refs = tuple(work.remote(orders, chunk.number))
        worker.chunks.append(chunk)

    def _order_of(self, album: Ordered, started: Started) -> Order:
        tracks = album.plan.album.tracks
        cached = (
            (k, self._store.find(track, self._windows, started.audio_encoder))
            for k, track in enumerate(tracks)
        )
        vectors = {k: vector for k, vector in cached if vector is not None}
        folders = {track.path.parent for k, track in enumerate(tracks) if k not in vectors}
        return Order(
            plan=replace(album.plan, targets=(), hindered=()),
            seeds=album.seeds,
            vectors=vectors,
            folders=frozenset(filter(os.path.isdir, folders)),
        )

    def _wait(self) -> None:
        """Wait for any worker to start, get on or finish a chunk, and note what it returned."""
        import ray

        starting = {
            worker.starting: worker
            for worker in self._workers
            if not (worker.started or worker.unfit)
        }
        working = {
            chunk.refs[0]: (worker, chunk)
            for worker in self._workers
            for chunk in worker.chunks
            if chunk.refs
        }
        asked = {worker.progress: worker for worker in self._workers if self._ask(worker)}
        refs = [*working, *starting, *asked]
        if not refs:
            time.sleep(_POLL_SECONDS)
            return
        done, others = ray.wait(refs, timeout=_POLL_SECONDS)
        done += ray.wait(others, num_returns=len(others), timeout=0)[0] if done and others else []
        for ref in done:
            if ref in starting:
                self._note_started(starting[ref])
            elif ref in asked:
                if asked[ref] in self._workers:
                    self._note_progress(asked[ref])
            else:
                self._note_finished(*working[ref])

    def _ask(self, worker: _Lent) -> bool:
        """Ask a worker for its progress, now and then. Returns whether an answer is awaited."""
        due = time.monotonic() - worker.asked > _SECONDS_BETWEEN_REQUESTS
        if worker.progress is None and worker.chunks and due:
            worker.asked = time.monotonic()
            worker.progress = worker.actor.progress.remote()
        return worker.progress is not None

    def _note_progress(self, worker: _Lent) -> None:
        ref, worker.progress = worker.progress, None
        progress: dict[int, Progress] = self._get(ref, worker) or {}
        for chunk in worker.chunks:
            if chunk.number in progress:
                self._show(chunk, progress[chunk.number])

    def _get(self, ref: Any, worker: _Lent) -> Any:  # noqa: ANN401 - what Ray's reference is to
        """Return what a worker returned; None, after giving its chunks to others, if it is lost."""
        import ray

        try:
            return ray.get(ref)
        except ray.exceptions.RayTaskError:
            raise  # a bug
        except ray.exceptions.RayError as error:
            self._lose(worker, error)
            return None

    def _note_started(self, worker: _Lent) -> None:
        result = self._get(worker.starting, worker)
        if result is None:
            return
        if isinstance(result, Failure):
            self._dismiss(worker, result)
            return
        worker.started, self._failure = result, None
        for event in result.events:
            if not isinstance(event, ModelLoading):
                self._tell(event)

    def _dismiss(self, worker: _Lent, failure: Failure) -> None:
        """Give the chunks of an unfit worker to others, which may have yet to be asked for."""
        worker.started, worker.unfit = None, True
        if not any(one.started for one in self._workers):
            self._failure, self._failed_at = failure, time.monotonic()
        why = f"{failure.message} {failure.hint}".strip()
        self._tell(WorkerUnfit(host=failure.host, why=why))
        chunks, worker.chunks = worker.chunks, []
        self._retry(chunks, lost=False)

    def _check_fit(self) -> None:
        """Raise ModelError if no worker is fit; one that is starting may only wait for room."""
        if self._failure is None or any(worker.started for worker in self._workers):
            return
        if time.monotonic() - self._failed_at > _SECONDS_TO_START:
            failure = self._failure
            raise ModelError(f"On {failure.host}: {failure.message}", hint=failure.hint)

    def _tell(self, event: Event) -> None:
        """Emit an event once, whichever worker reports it."""
        # Why compiling failed may be told in other words by each worker.
        told = CompilingFailed if isinstance(event, CompilingFailed) else event
        if told not in self._told:
            self._told.add(told)
            self._emit(event)

    def _note_finished(self, worker: _Lent, chunk: Chunk) -> None:
        if worker not in self._workers or chunk.refs is None:
            return  # lost in the meantime
        rows = self._get(chunk.refs[0], worker)
        if rows is None:
            return
        if isinstance(rows, Failure):
            self._dismiss(worker, rows)
            return
        worker.chunks.remove(chunk)
        chunk.rows = rows
        self._lost = 0
        for note in chain.from_iterable(row.notes for row in rows):
            self._tell(note)
        if worker.started:
            self._save(chunk, rows, worker.started)
        self._show(chunk)

    def _save(self, chunk: Chunk, rows: Sequence[Row], started: Started) -> None:
        for album, row in zip(chunk.albums, rows, strict=True):
            for k, key, vector in row.embedded:
                track = album.plan.album.tracks[k]
                self._store.put(track, self._windows, key, started.audio_encoder, vector)

    def _show(self, chunk: Chunk, progress: Progress | None = None) -> None:
        """Emit the progress of a chunk, or that it is done; it never goes back when it is lost."""
        tracks = [album.plan for album in chunk.albums for _ in album.plan.album.tracks]
        if progress is None:
            heard = sum(row.vector is not None for row in chunk.rows or ())
            progress = Progress(len(tracks), heard)
        else:
            progress = Progress(progress.embedded, max(progress.painted, chunk.painted))
        for plan in tracks[chunk.embedded : progress.embedded]:
            self._emit(TrackEmbedded(plan=plan))
        chunk.embedded = max(chunk.embedded, progress.embedded)
        if self._paints and progress.painted != chunk.painted:
            self._emit(Painting(albums=progress.painted - chunk.painted))
            chunk.painted = progress.painted

    def _covers(self, chunk: Chunk, *, stopping: bool = False) -> Sequence[Sequence[Cover]] | None:
        """Fetch the covers of a finished chunk. None if they were lost, to be painted again."""
        import ray

        if chunk.refs is None:
            return [()] * len(chunk.albums)
        try:
            while not stopping and not ray.wait([chunk.refs[1]], timeout=_POLL_SECONDS)[0]:
                self._check_interrupted()
            covers: Sequence[Sequence[Cover]] = ray.get(chunk.refs[1], timeout=10)
        except ray.exceptions.RayError:
            chunk.rows = None
            self._retry([chunk])
            return None
        # Copied, since Ray's arrays are read-only and keep their memory in its store.
        return [[replace(one, pixels=one.pixels.copy()) for one in album] for album in covers]

    def _lose(self, worker: _Lent, error: Exception) -> None:
        """Give the chunks of a lost worker to others. Raises ClusterError if all are lost."""
        import ray

        with suppress(ray.exceptions.RayError):
            ray.kill(worker.actor)
        self._workers.remove(worker)
        self._lost += 1
        if self._lost > max(_MOST_LOSSES, 3 * len(self._workers)):
            raise ClusterError(
                f"The workers on the cluster end before they finish anything: {first_line(error)}",
                hint="Ray's logs say why; -v shows them. If memory is short, use fewer --jobs.",
            ) from error
        self._retry(worker.chunks)

    def _retry(self, chunks: Sequence[Chunk], *, lost: bool = True) -> None:
        for chunk in reversed(chunks):
            if failed := self._queue.retry(chunk, lost=lost):
                self._show(failed)
