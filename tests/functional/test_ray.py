"""The Ray engine: the same covers as the local one, whatever happens to its workers."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Semaphore
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from covergen.audio.embedding_cache import EmbeddingCache
from covergen.cli.main import cli
from covergen.core.album import Action, AlbumPlan
from covergen.core.cover import Cover
from covergen.core.errors import ModelError
from covergen.core.reasons import Reason
from covergen.library.pictures_in_files import read_pictures
from covergen.models.sources import PROCEDURAL
from covergen.pipeline.engines import embed_plans, paint_plans, ray_driver
from covergen.pipeline.engines.ray_worker import Failure, Progress
from covergen.pipeline.events import CompilingFailed, Painting, TrackEmbedded, WorkerUnfit
from covergen.pipeline.model_choice import ModelChoice, choose_preset
from covergen.pipeline.options import PaintOptions, RayOptions
from covergen.pipeline.painting import Seeds
from covergen.pipeline.time_estimate import Meter
from tests.home import run_at_home
from tests.media import encode
from tests.ray_worker import InstantWorker
from tests.values import make_album

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from ray._private.node import Node
    from ray.cluster_utils import Cluster

    from covergen.core.cover import Cover
    from covergen.pipeline.engines.ray_worker import Order, Setup
    from covergen.pipeline.events import Event
    from tests.functional.conftest import TinyModel
    from tests.ray_worker import Worked

pytestmark = pytest.mark.ray

_ALBUMS = 8
_MARK = "TEST_OF_RAY"  # an environment variable that every process of a command inherits
_STORE_BYTES = 80 << 20
# A machine that is gone counts as lost after 4 seconds at most, instead of a minute.
_NOTICE_SOON = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 2,
}


@pytest.fixture(autouse=True)
def _no_network() -> None:
    """Allow what the other tests may not do: Ray looks for the address of this machine."""


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Albums of one track each, which all sound different."""
    root = tmp_path_factory.mktemp("originals")
    for number in range(_ALBUMS):
        tags = {"title": "Song", "artist": "Band", "album": f"Album {number}"}
        encode(root / f"{number}/song.flac", "flac", seconds=1, seed=number, tags=tags)
    return root


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster with a head that computes nothing. Its processes bear the mark "cluster"."""
    from ray.cluster_utils import Cluster

    head = {
        "num_cpus": 0,
        "object_store_memory": _STORE_BYTES,
        "include_dashboard": False,
        "_system_config": _NOTICE_SOON,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(_MARK, "cluster")
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            yield cluster
        finally:
            cluster.shutdown()


@pytest.fixture
def machine(cluster: Cluster) -> Node:
    """A machine of the cluster, with two cores, and two GPUs as far as Ray knows."""
    if not cluster.worker_nodes:
        cluster.add_node(num_cpus=2, num_gpus=2, object_store_memory=_STORE_BYTES)
    return next(iter(cluster.worker_nodes))


def _processes(mark: str, name: bytes = b"", *, spared: bytes | None = None) -> list[int]:
    """The processes with a mark and a name that run, but for those named `spared`.

    A dead one has no environment.
    """
    marked = f"{_MARK}={mark}".encode()
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    running = (pid for pid in pids if marked in _read(pid, "environ").split(b"\0"))
    names = ((pid, _read(pid, "cmdline")) for pid in running)
    return [pid for pid, own in names if name in own and not (spared and spared in own)]


def _workers() -> list[int]:
    return _processes("cluster", b"ray::Worker")


@dataclass(frozen=True, slots=True)
class _Command:
    """A covergen in a process of its own; `tag` paints one album at a time."""

    process: subprocess.Popen[str]

    @classmethod
    def tag(cls, library: Path, model: TinyModel, *options: str) -> _Command:
        process = subprocess.Popen(
            [sys.executable, "-m", "covergen",
             *_arguments(library, model, "--engine", "ray", *options)],
            env={**os.environ, _MARK: library.name, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )  # fmt: skip
        return cls(process)

    def wait_for_cover(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("painted")

    def finish(self) -> str:
        """Wait until it ends; return what it printed on stderr."""
        return self.process.communicate(timeout=60)[1]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it has just ended
        return b""


def _pictures(library: Path) -> dict[str, NDArray[np.int16]]:
    pixels = {}
    for path in sorted(library.rglob("*.flac")):
        (picture,) = read_pictures(path, "flac")
        pixels[path.parent.name] = np.asarray(Image.open(io.BytesIO(picture.data)), dtype=np.int16)
    return pixels


@pytest.fixture(scope="module")
def local(
    originals: Path, tiny_model: TinyModel, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, NDArray[np.int16]]:
    """The pictures that the local engine paints."""
    library = Path(shutil.copytree(originals, tmp_path_factory.mktemp("local") / "library"))
    run_at_home(library.parent, *_arguments(library, tiny_model))
    return _pictures(library)


def _arguments(library: Path, model: TinyModel, *options: str) -> list[str]:
    parts = ("--base", model.base, "--clap", model.clap, "--adapter", model.adapter)
    command = ("tag", "--yes", "--batch-size", 1, "--steps", 3, *parts, *options, library)
    return list(map(str, command))


def _tag_locally(library: Path, model: TinyModel) -> None:
    result = CliRunner().invoke(cli, _arguments(library, model))
    assert result.exit_code == 0, result.output


def _assert_same(
    pictures: dict[str, NDArray[np.int16]], expected: dict[str, NDArray[np.int16]]
) -> None:
    assert pictures.keys() == expected.keys()
    assert len({picture.tobytes() for picture in expected.values()}) == _ALBUMS
    for name, picture in pictures.items():
        assert np.abs(picture - expected[name]).max() <= 1, name


def _copy(originals: Path, tmp_path: Path, name: str) -> Path:
    return Path(shutil.copytree(originals, tmp_path / name))


def _eventually(holds: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _on_cluster(cluster: Cluster) -> tuple[str, ...]:
    """Options with which a worker takes all cores of the machine."""
    return "--ray-address", cluster.address, "--device", "cpu", "--jobs", "2"


@pytest.mark.usefixtures("machine")
def test_a_killed_worker_costs_no_cover(
    cluster: Cluster,
    originals: Path,
    local: dict[str, NDArray[np.int16]],
    tiny_model: TinyModel,
    tmp_path: Path,
) -> None:
    library = _copy(originals, tmp_path, "killed-worker")
    command = _Command.tag(library, tiny_model, *_on_cluster(cluster))
    command.wait_for_cover()
    (worker,) = _workers()
    os.kill(worker, signal.SIGKILL)  # most albums have not been sent to it yet
    errors = command.finish()
    assert command.process.returncode == 0, errors
    # Nothing of Ray's own, and not a word about the worker.
    assert [line for line in errors.splitlines() if line] == [
        f"Loading the model {tiny_model.adapter.name}.",
        "Next: rescan the library in your player. For different covers, use --force --seed 1.",
    ]
    _assert_same(_pictures(library), local)


@pytest.mark.usefixtures("machine")
def test_an_interrupted_run_leaves_no_worker_and_is_finished_by_the_other_engine(
    cluster: Cluster,
    originals: Path,
    local: dict[str, NDArray[np.int16]],
    tiny_model: TinyModel,
    tmp_path: Path,
) -> None:
    library = _copy(originals, tmp_path, "interrupted")
    command = _Command.tag(library, tiny_model, *_on_cluster(cluster))
    command.wait_for_cover()
    os.killpg(command.process.pid, signal.SIGINT)  # as a terminal sends it
    start = time.monotonic()
    errors = command.finish()
    assert time.monotonic() - start < 15
    assert command.process.returncode == 130, errors
    assert _eventually(lambda: not _workers())
    assert not _processes("interrupted")
    _tag_locally(library, tiny_model)
    _assert_same(_pictures(library), local)


def test_a_killed_run_takes_the_ray_that_it_started_with_it(
    originals: Path, tiny_model: TinyModel, tmp_path: Path
) -> None:
    library = _copy(originals, tmp_path, "killed")
    command = _Command.tag(library, tiny_model)
    command.wait_for_cover()
    command.process.kill()
    command.finish()
    # Ray's own agents take up to a minute to notice.
    assert _eventually(lambda: not _processes("killed", spared=b"Agent"))


def _options(cluster: Cluster, model: TinyModel, device: str = "auto") -> PaintOptions:
    choice = ModelChoice(base=str(model.base), clap=str(model.clap), adapter=str(model.adapter))
    return PaintOptions(
        preset=choose_preset(choice),
        device=device,
        dtype="auto",
        workers=1,
        batch_size=1,
        ray=RayOptions(address=cluster.address),
    )


class _Gpus(InstantWorker):
    """Slow enough for others to get something to do."""

    def work(self, orders: Sequence[Order], number: int) -> Worked:
        time.sleep(0.2)
        return super().work(orders, number)


class _OneBreaks(_Gpus):
    """The one with GPU 0 cannot go on when it gets its first album."""

    def work(self, orders: Sequence[Order], number: int) -> Worked:
        if self.gpus == "0":
            return Failure(host="0", message="It is broken.", hint="Mend it."), []
        return super().work(orders, number)


class _Uncompiled(_Gpus):
    """Reports in words of its own, with every album, that compiling failed."""

    def work(self, orders: Sequence[Order], number: int) -> Worked:
        rows, covers = super().work(orders, number)
        note = CompilingFailed(device="cuda", why=f"in process {os.getpid()}")
        return [replace(row, notes=(note,)) for row in rows], covers  # type: ignore[union-attr]


class _AllBroken(_Gpus):
    def start(self) -> Failure:
        return Failure(host=self.gpus, message="It is broken.", hint="")


class _Reports(InstantWorker):
    """It paints until its progress was noted: that is when the driver asks again."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._asked = Semaphore(0)

    def progress(self) -> dict[int, Progress]:
        self._asked.release()
        return {1: Progress(embedded=1, painted=0.25)}

    def work(self, orders: Sequence[Order], number: int) -> Worked:
        assert not orders[0].folders, "gone for the driver, it is not asked for"
        for _ in range(2):
            self._asked.acquire(timeout=5)
        return super().work(orders, number)


@pytest.fixture
def _by_value() -> Iterator[None]:
    """Send the stand-ins to Ray's processes, which cannot import this module."""
    from ray import cloudpickle

    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def _plan(number: int, folder: Path = Path()) -> AlbumPlan:
    album = make_album(folder, "song.flac", key=str(number))
    return AlbumPlan(album=album, action=Action.PAINT, reason=Reason.NO_COVER)


@dataclass(slots=True)
class _Run:
    """A run with stand-ins for workers."""

    options: PaintOptions
    events: list[Event] = field(default_factory=list)

    def covers(self, plans: Iterator[AlbumPlan]) -> Iterator[Cover]:
        with closing(EmbeddingCache()) as store:
            covers = paint_plans(
                plans,
                self.options,
                store,
                seeds=Seeds(run=0, per="album", of=lambda _album: (0,)),
                meter=Meter(),
                then=lambda _embedding, cover: cover,
                emit=self.events.append,
                check_interrupted=lambda: None,
            )
            with closing(covers):
                for number, cover in enumerate(covers):
                    assert cover.provenance.album_key == str(number)
                    assert cover.pixels.flags.writeable  # unlike arrays in Ray's store
                    yield cover

    def used(self) -> set[tuple[str, ...]]:
        """The GPUs and processes that paint a library.

        It ends once two of them painted, but after 30 albums at the latest.
        """
        seen: set[tuple[str, ...]] = set()
        plans = (_plan(number) for number in range(30) if len(seen) < 2)
        for cover in self.covers(plans):
            seen.add(tuple(cover.provenance.device.split()))
        return seen

    def counted(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


@pytest.mark.usefixtures("machine", "_by_value")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_each_gpu_gets_a_painter(
    cluster: Cluster, tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = _options(cluster, tiny_model)
    monkeypatch.setattr(ray_driver, "Worker", _Gpus)
    used = _Run(options).used()
    assert {(gpu, which) for gpu, which, _ in used} == {("True", "0"), ("True", "1")}

    monkeypatch.setattr(ray_driver, "Worker", _OneBreaks)
    monkeypatch.setattr(ray_driver, "_SECONDS_TO_START", 60)  # the other one may be slow
    run = _Run(options)
    assert {which for _, which, _ in run.used()} == {"1"}
    assert WorkerUnfit(host="0", why="It is broken. Mend it.") in run.events

    monkeypatch.setattr(ray_driver, "Worker", _AllBroken)
    monkeypatch.setattr(ray_driver, "_SECONDS_TO_START", 1)
    with pytest.raises(ModelError, match=r"On [01]: It is broken\."):
        _Run(options).used()


@pytest.mark.usefixtures("machine", "_by_value")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_that_compiling_failed_on_workers_is_told_once(
    cluster: Cluster, tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_driver, "Worker", _Uncompiled)
    run = _Run(_options(cluster, tiny_model))
    assert len(run.used()) == 2
    assert run.counted(CompilingFailed) == 1


@pytest.mark.usefixtures("machine", "_by_value")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_small_painters_share_a_gpu_and_none_is_used_with_the_device_cpu(
    cluster: Cluster, tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_driver, "Worker", _Gpus)
    options = _options(cluster, tiny_model)
    small = replace(options, preset=replace(options.preset, base=PROCEDURAL))
    used = _Run(small).used()
    assert len(used) == 2
    assert {(gpu, which) for gpu, which, _ in used} == {("True", "0")}

    used = _Run(_options(cluster, tiny_model, "cpu")).used()
    assert {gpu for gpu, _, _ in used} == {"False"}


@pytest.mark.usefixtures("machine", "_by_value")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_progress_is_shown_before_a_chunk_is_done_and_albums_can_be_embedded_alone(
    cluster: Cluster, tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_driver, "Worker", _Reports)
    run = _Run(_options(cluster, tiny_model, "cpu"))
    (_,) = run.covers(iter([_plan(0, Path("gone"))]))
    assert [e.albums for e in run.events if isinstance(e, Painting)] == [0.25, 0.75]
    assert run.counted(TrackEmbedded) == 1

    monkeypatch.setattr(ray_driver, "Worker", InstantWorker)
    with closing(EmbeddingCache()) as store:
        embedded = embed_plans(
            map(_plan, range(3)),
            run.options,
            store,
            emit=lambda _: None,
            check_interrupted=lambda: None,
        )
        assert [one.plan.album.key for one in embedded] == ["0", "1", "2"]


@pytest.mark.usefixtures("_by_value")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_machine_that_joins_takes_over_from_one_that_is_lost(
    cluster: Cluster, machine: Node, tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_driver, "Worker", _Gpus)
    run = _Run(_options(cluster, tiny_model, "cpu"))
    covers = run.covers(map(_plan, range(12)))
    first = next(covers).provenance.device
    cluster.add_node(num_cpus=2, object_store_memory=_STORE_BYTES)
    cluster.remove_node(machine, allow_graceful=False)
    *_, last = covers
    assert last.provenance.album_key == "11"
    assert last.provenance.device != first
    assert run.counted(TrackEmbedded) == 12
