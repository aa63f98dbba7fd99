"""A worker of the Ray engine: loads the model once, then embeds and paints the albums it is sent.

Ray runs a `Worker` as an actor. What it returns are rows; only bugs are raised.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

import covergen
from covergen.audio.decoder_pool import Decoders
from covergen.compute.device import choose_compute, worker_count
from covergen.core.album import AlbumEmbedding, AlbumPlan, Outcome, Track
from covergen.core.cover import Cover, Provenance
from covergen.core.errors import CovergenError, ModelError
from covergen.core.reasons import Reason
from covergen.pipeline.events import AlbumDone, Emit, Event, Painting, TrackEmbedded
from covergen.pipeline.load_model import find_audio_encoder, find_model
from covergen.pipeline.painting import Seeds, cover_of, embed_albums, paint_albums

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from covergen.pipeline.options import PaintOptions

    Vector = NDArray[np.float32]
    _Picture = tuple[NDArray[np.uint8], Provenance]


_HINT = "Does this machine have the library at the same path? If not, use --path-map."


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What all workers of a run are given.

    `options` are those of the run. `paints`: paint the albums, not only embed them. `run_seed` and
    `per` are as in Seeds. `folder` is the driver's working directory. `gpu`: Ray assigns each
    worker a GPU, or a part of one.
    """

    options: PaintOptions
    paints: bool
    run_seed: int
    per: Literal["album", "track"]
    folder: Path
    gpu: bool = False
    version: str = covergen.__version__

    def path_on_worker(self, path: Path) -> Path:
        """Return where a worker finds a file of the driver; the most specific mapping applies."""
        path = self.folder / path
        mappings = self.options.ray.path_map if self.options.ray else ()
        for source, target in sorted(mappings, key=lambda one: len(one[0].parts), reverse=True):
            if path.is_relative_to(source):
                return target / path.relative_to(source)
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An album to embed, and to paint once for each seed.

    `plan` has the driver's paths. `vectors` are the cached embeddings, by the index of the track.
    `folders` are those of the other tracks that the driver sees, also with its paths.
    """

    plan: AlbumPlan
    seeds: tuple[int, ...]
    vectors: Mapping[int, Vector]
    folders: frozenset[Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of an album. Tracks are given by their index.

    `vector` is None if none of them could be decoded. `undecoded` are the outcomes of those that
    could not. `embedded` are the key and the embedding of those that were not cached. `notes` are
    what the model emitted while it painted this album or others.
    """

    vector: Vector | None
    undecoded: tuple[tuple[int, Outcome], ...]
    embedded: tuple[tuple[int, str, Vector], ...] = ()
    notes: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker that can be sent albums. `audio_encoder` is the id of its AudioEncoder."""

    host: str
    audio_encoder: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A worker that cannot go on, and why: the message and hint of a CovergenError."""

    host: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The tracks that were embedded and the albums that were painted."""

    embedded: int = 0
    painted: float = 0.0

    def after(self, event: Event) -> Progress:
        """Return the progress with that of an event."""
        match event:
            case TrackEmbedded():
                return replace(self, embedded=self.embedded + 1)
            case Painting(albums=albums):
                return replace(self, painted=self.painted + albums)
        return self


class Worker:
    """Embeds and paints; the embedding of one call overlaps the painting of another."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._options = setup.options
        if not setup.gpu and setup.options.device == "auto":
            # A GPU that Ray did not assign is another worker's, or not meant to be used.
            self._options = replace(setup.options, device="cpu")
        # As many as Ray lends cores for, which other workers of its machine do not use.
        self._workers = worker_count(setup.options.workers, "cpu")
        self._host = socket.gethostname()
        self._embedding, self._painting = Lock(), Lock()
        self._found_library = False
        self._progress: dict[int, Progress] = {}
        self._notes: list[Event] = []  # of the model, which the driver has yet to be sent

    def start(self) -> Started | Failure:
        """Load the model."""
        if self._setup.version != covergen.__version__:
            return Failure(
                host=self._host,
                message=f"covergen {covergen.__version__} is installed there, and"
                f" {self._setup.version} here.",
                hint="Install the same version on every machine.",
            )
        with suppress(OSError):  # so that a relative path of a model means the same
            os.chdir(self._setup.folder)
        try:
            self._check_gpu()
            if self._setup.paints:
                emit = self._notes.append
                self._model = find_model(self._options, emit).load(emit)
                self._encoder = self._model.audio_encoder
            else:
                self._encoder = find_audio_encoder(self._options, self._notes.append)
        except CovergenError as error:
            return self._failure(error)
        self._decoders = Decoders(self._workers, self._encoder.log_mel)
        return Started(host=self._host, audio_encoder=self._encoder.id, events=self._take_notes())

    def _take_notes(self) -> tuple[Event, ...]:
        notes = tuple(self._notes)
        self._notes.clear()
        return notes

    def _check_gpu(self) -> None:
        """Raise ModelError if PyTorch cannot use the GPU, as the CPU would hold up all others."""
        if not self._setup.gpu:
            return
        compute = choose_compute("auto", "fp32")
        if compute.device.type == "cpu":
            raise ModelError(
                f"PyTorch cannot use its GPU: {compute.unused or 'it finds no CUDA device.'}",
                hint="Use --device cpu to use the cores of all machines instead.",
            )

    def close(self) -> None:
        """End the decoder processes, which otherwise end with this process."""
        self._decoders.close()

    def progress(self) -> dict[int, Progress]:
        """Return how far the calls of `work` have got, by their number."""
        return dict(self._progress)

    def work(
        self, orders: Sequence[Order], number: int = 0
    ) -> tuple[Sequence[Row] | Failure, Sequence[Sequence[Cover]]]:
        """Return a row and the covers of each album."""
        plans = [self._plan(order.plan) for order in orders]
        self._progress[number] = Progress()

        def count(event: Event) -> None:
            self._progress[number] = self._progress[number].after(event)

        try:
            self._find_library(orders)
            with self._embedding:
                rows, embeddings = self._embed(plans, orders, count)
            with self._painting:
                painted = self._paint(embeddings, plans, orders, count)
                rows[0] = replace(rows[0], notes=self._take_notes())
            # Without the lock, so that others paint meanwhile.
            covers = [[cover_of(*one, self._options) for one in album] for album in painted]
        except CovergenError as error:
            return self._failure(error), ()
        finally:
            del self._progress[number]
        return rows, covers

    def _plan(self, plan: AlbumPlan) -> AlbumPlan:
        """Return a plan with this machine's paths."""
        locate = self._setup.path_on_worker
        tracks = (replace(track, path=locate(track.path)) for track in plan.album.tracks)
        return replace(plan, album=replace(plan.album, tracks=tuple(tracks)))

    def _find_library(self, orders: Sequence[Order]) -> None:
        """Raise ModelError if no folder of the first albums to be read is on this machine.

        It would fail all albums of the library, faster than other machines embed them. Folders
        that are gone for the driver, too, only fail their albums.
        """
        if self._found_library:
            return
        locate = self._setup.path_on_worker
        folders = {locate(folder) for order in orders for folder in order.folders}
        self._found_library = any(map(os.path.isdir, folders))  # False, too, for errors
        if folders and not self._found_library:
            raise ModelError(f"{min(folders)} is not on this machine.", hint=_HINT)

    def _embed(
        self, plans: Sequence[AlbumPlan], orders: Sequence[Order], count: Emit
    ) -> tuple[list[Row], list[AlbumEmbedding]]:
        store = _SentVectors(plans, orders)
        undecoded: dict[int, tuple[Outcome, ...]] = {}

        def note(event: Event) -> None:
            if isinstance(event, AlbumDone):
                undecoded[id(event.plan)] = event.outcomes
            count(event)

        embeddings = list(
            embed_albums(
                plans,
                self._encoder,
                store,
                windows=self._options.preset.windows,
                workers=self._workers,
                emit=note,
                check_interrupted=_go_on,
                decoders=self._decoders,
            )
        )
        vectors = {id(one.plan): one.vector for one in embeddings}
        undecoded |= {id(one.plan): one.undecoded for one in embeddings}
        rows = [
            Row(
                vector=vectors.get(id(plan)),
                undecoded=self._with_host(undecoded[id(plan)], plan.album.tracks),
                embedded=store.new_of(plan),
            )
            for plan in plans
        ]
        return rows, embeddings

    def _with_host(
        self, outcomes: Sequence[Outcome], tracks: Sequence[Track]
    ) -> tuple[tuple[int, Outcome], ...]:
        """Return outcomes by the index of their track; what the system reported names this host."""
        index = {track.path: k for k, track in enumerate(tracks)}
        named = (
            one
            if one.reason is Reason.UNDECODABLE
            else replace(one, message=f"{one.message} on {self._host}. {_HINT}")
            for one in outcomes
        )
        return tuple((index[one.path], one) for one in named)

    def _paint(
        self,
        embeddings: Sequence[AlbumEmbedding],
        plans: Sequence[AlbumPlan],
        orders: Sequence[Order],
        count: Emit,
    ) -> list[list[_Picture]]:
        """Return the pictures of each album, without the model's finish."""
        pictures: dict[int, list[_Picture]] = {id(plan): [] for plan in plans}
        if self._setup.paints:
            wanted = {id(p.album): order.seeds for p, order in zip(plans, orders, strict=True)}
            seeds = Seeds(
                run=self._setup.run_seed,
                per=self._setup.per,
                of=lambda album: wanted[id(album)],
            )
            painted = paint_albums(
                embeddings,
                self._model,
                self._options,
                seeds=seeds,
                finish=lambda embedding, *picture: (embedding, picture),
                emit=count,
                check_interrupted=_go_on,
            )
            for embedding, picture in chain.from_iterable(painted):
                pictures[id(embedding.plan)].append(picture)
        return list(pictures.values())

    def _failure(self, error: CovergenError) -> Failure:
        return Failure(host=self._host, message=error.message, hint=error.hint)


class _SentVectors:
    """Stands in for the driver's EmbeddingCache: what it sent, and what it is to save."""

    def __init__(self, plans: Sequence[AlbumPlan], orders: Sequence[Order]) -> None:
        self._sent = {
            plan.album.tracks[k].path: vector
            for plan, order in zip(plans, orders, strict=True)
            for k, vector in order.vectors.items()
        }
        self._new: dict[Path, tuple[str, Vector]] = {}

    def find(self, track: Track, windows: int, audio_encoder: str) -> Vector | None:  # noqa: ARG002 - as EmbeddingCache
        return self._sent.get(track.path)

    def find_key(self, key: str, audio_encoder: str) -> Vector | None:  # noqa: ARG002 - as EmbeddingCache
        return None

    def put(self, track: Track, windows: int, key: str, audio_encoder: str, vector: Vector) -> None:  # noqa: ARG002 - as EmbeddingCache
        self._new[track.path] = key, vector

    def new_of(self, plan: AlbumPlan) -> tuple[tuple[int, str, Vector], ...]:
        """Return what was put for the tracks of a plan, by their index."""
        tracks = enumerate(plan.album.tracks)
        return tuple((k, *self._new[one.path]) for k, one in tracks if one.path in self._new)


def _go_on() -> None:
    """Do not stop: the driver ends a worker by ending its process."""
