"""The stages overlap: the painter works nearly all the time, and nothing depends on it."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from covergen.audio.embedding_cache import EmbeddingCache
from covergen.core.album import Action, AlbumEmbedding, AlbumPlan
from covergen.core.cover import Cover, PaintRequest
from covergen.core.errors import Interrupted, ModelError
from covergen.core.reasons import Reason
from covergen.pipeline import painting
from covergen.pipeline.events import Event, TrackEmbedded
from covergen.pipeline.load_model import FoundModel, Model
from covergen.pipeline.model_choice import ModelChoice, choose_preset
from covergen.pipeline.options import PaintOptions
from covergen.pipeline.painting import Seeds, paint_plans
from covergen.pipeline.time_estimate import Meter
from tests.media import encode
from tests.unit.audio.processes import Windows
from tests.values import make_album, track_at

ALBUMS, BATCH = 12, 2
EMBED, PAINT, FINISH, WRITE = 0.015, 0.05, 0.03, 0.015  # seconds; painting a batch, the others one


@dataclass
class Slow:
    """An audio encoder and a painter that only wait, as while a GPU works."""

    id = "slow"
    batch_size = 8
    dimension = 2
    log_mel = Windows()
    painted: list[tuple[float, float]] = field(default_factory=list)
    fails_at: int | None = None

    def load(self) -> None:
        """There is nothing to load."""

    def embed(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        time.sleep(EMBED * len(windows))
        return np.tile(np.array([[1, 0]], np.float32), (len(windows), 1))

    def paint_batches(
        self,
        requests: Iterable[PaintRequest],
        _sampling: object,
        *,
        check_interrupted: Callable[[], None],
        **_others: object,
    ) -> Iterator[list[NDArray[np.uint8]]]:
        waiting = iter(requests)
        while batch := list(islice(waiting, BATCH)):
            if len(self.painted) == self.fails_at:
                raise ModelError("no luck")
            start = time.perf_counter()
            time.sleep(PAINT)
            check_interrupted()
            self.painted.append((start, time.perf_counter()))
            yield [np.full((2, 2, 3), request.seed, np.uint8) for request in batch]

    @property
    def busy_share(self) -> float:
        """The share of the time from the first to the last picture that the painter worked."""
        whole = self.painted[-1][1] - self.painted[0][0]
        return sum(end - start for start, end in self.painted) / whole


@pytest.fixture(autouse=True)
def _no_thread_is_left(kept_decoders: None) -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if not thread.name.startswith("decode")]


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> list[AlbumPlan]:
    folder = tmp_path_factory.mktemp("music")
    return [plan_of(folder / f"{n}.wav", seed=n) for n in range(ALBUMS)]


def plan_of(path: Path, *, seed: int) -> AlbumPlan:
    track = track_at(encode(path, "wav", seconds=0.2, kind="noise", seed=seed))
    album = make_album(path.parent, key=path.stem, tracks=(track,))
    return AlbumPlan(album=album, action=Action.PAINT, reason=Reason.NO_COVER, targets=(track,))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddingCache]:
    with closing(EmbeddingCache(tmp_path / "store.sqlite")) as store:
        yield store


@pytest.fixture(params=["cuda", "cpu"])
def slow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Slow:
    """The model that is found, on a GPU or on the CPU."""
    slow = Slow()

    def found(options: PaintOptions, _emit: object) -> SimpleNamespace:
        sampling = options.preset.sampling
        model = Model(
            audio_encoder=slow,  # type: ignore[arg-type]  # it has what is used of one
            device="",
            dtype="",
            adapter_sha256="",
            sampling=sampling,
            paint_batches=slow.paint_batches,  # type: ignore[arg-type]  # as above
        )
        compute = SimpleNamespace(device=SimpleNamespace(type=request.param))
        fake = SimpleNamespace(
            options=options, compute=compute, audio_encoder=slow, workers=2, load=lambda _: model
        )
        assert all(hasattr(FoundModel, name) for name in vars(fake))
        return fake

    monkeypatch.setattr(painting, "find_model", found)
    return slow


def run(
    plans: Iterable[AlbumPlan],
    store: EmbeddingCache,
    emit: Callable[[Event], None] = lambda _: None,
    check_interrupted: Callable[[], None] = lambda: None,
) -> Iterator[tuple[str, int]]:
    """Paint and "write" each plan; yield the albums' keys with a pixel of their covers."""
    preset = choose_preset(ModelChoice(finish="none", title="none"))

    def finish(embedding: AlbumEmbedding, cover: Cover) -> tuple[str, int]:
        time.sleep(FINISH)
        return embedding.plan.album.key, int(cover.pixels[0, 0, 0])

    painted = paint_plans(
        iter(plans),
        PaintOptions(preset=replace(preset, windows=1), device="cpu", dtype="fp32", workers=2),
        store,
        seeds=Seeds(run=0, per="album", of=lambda album: (int(album.key),)),
        meter=Meter(),
        then=finish,
        emit=emit,
        check_interrupted=check_interrupted,
    )
    with closing(painted):
        for one in painted:
            time.sleep(WRITE)
            yield one


@pytest.mark.parametrize("slow", ["cuda"], indirect=True)
def test_a_gpu_paints_nearly_all_the_time(
    slow: Slow, plans: list[AlbumPlan], store: EmbeddingCache
) -> None:
    assert len([*run(plans, store)]) == ALBUMS

    one_after_another = PAINT / (PAINT + BATCH * (EMBED + FINISH + WRITE))
    assert one_after_another < 0.4
    assert slow.busy_share > 0.7


@pytest.mark.usefixtures("slow")
def test_covers_arrive_in_order_and_events_in_the_calling_thread(
    plans: list[AlbumPlan], store: EmbeddingCache
) -> None:
    events: list[Event] = []
    threads: set[int] = set()

    def emit(event: Event) -> None:
        events.append(event)
        threads.add(threading.get_ident())

    done = [*run(plans, store, emit, lambda: threads.add(threading.get_ident()))]

    assert done == [(str(number), number) for number in range(ALBUMS)]
    embedded = [event.plan for event in events if isinstance(event, TrackEmbedded)]
    assert embedded == plans
    assert threads == {threading.get_ident()}


def test_what_was_painted_before_an_interruption_is_kept(
    slow: Slow, plans: list[AlbumPlan], store: EmbeddingCache
) -> None:
    def interrupt() -> None:
        if len(slow.painted) >= 2:
            raise Interrupted

    done: list[tuple[str, int]] = []
    with pytest.raises(Interrupted):
        done.extend(run(plans, store, check_interrupted=interrupt))

    assert [key for key, _ in done] == [str(n) for n in range(BATCH * len(slow.painted))]
    assert len(done) < ALBUMS


def test_what_was_painted_before_a_failure_of_the_model_is_kept(
    slow: Slow, plans: list[AlbumPlan], store: EmbeddingCache
) -> None:
    slow.fails_at = 2
    done: list[tuple[str, int]] = []
    with pytest.raises(ModelError, match="no luck"):
        done.extend(run(plans, store))

    assert len(done) == 2 * BATCH


def test_an_error_in_planning_is_raised_after_what_is_painted(
    slow: Slow, plans: list[AlbumPlan], store: EmbeddingCache
) -> None:
    def failing() -> Iterator[AlbumPlan]:
        yield plans[0]
        while not slow.painted:
            yield from plans[1:3]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        [*run(failing(), store)]

    assert "failing" in [entry.name for entry in caught.traceback]


def test_closing_early_ends_the_threads_and_paints_no_more(
    slow: Slow, plans: list[AlbumPlan], store: EmbeddingCache
) -> None:
    with closing(run(plans, store)) as done:  # type: ignore[type-var]  # a generator
        next(done)
    painted = len(slow.painted)
    assert painted <= 3
    time.sleep(2 * PAINT)
    assert len(slow.painted) == painted


def test_at_most_two_batches_are_painted_but_not_written(
    slow: Slow, plans: list[AlbumPlan], store: EmbeddingCache
) -> None:
    for number, _ in enumerate(run(plans[: 4 * BATCH], store)):
        time.sleep(1.5 * PAINT)
        assert BATCH * len(slow.painted) - number <= 2 * BATCH
