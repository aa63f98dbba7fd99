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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from covergen.audio.store import EmbeddingStore
from covergen.cli.main import cli
from covergen.core.types import AlbumPlan
from covergen.library.pictures import read_pictures
from covergen.library.scanning.scan_cache import ScanCache
from covergen.pipeline.engines import paint_plans
from covergen.pipeline.estimate import Meter
from covergen.pipeline.model import ModelChoice, choose_preset
from covergen.pipeline.options import PaintOptions, PlanOptions, RayOptions
from covergen.pipeline.painting import Seeds
from covergen.pipeline.planning import plan_library
from tests.media import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from ray.cluster_utils import Cluster

    from covergen.pipeline.events import Event
    from tests.functional.conftest import TinyModel

pytestmark = pytest.mark.ray

_ALBUMS = 8
_MARK = "TEST_OF_RAY"  # an environment variable that every process of a command inherits


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


@dataclass(frozen=True, slots=True)
class _Command:
    """A covergen in a process of its own; `tag` paints one album at a time."""

    process: subprocess.Popen[str]
    mark: str

    @classmethod
    def tag(cls, library: Path, model: TinyModel) -> _Command:
        process = subprocess.Popen(
            [sys.executable, "-m", "covergen", *_arguments(library, model, "--engine", "ray")],
            env={**os.environ, _MARK: library.name, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return cls(process, f"{_MARK}={library.name}")

    def wait_for_cover(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("painted")

    def workers(self) -> list[int]:
        return [pid for pid in self.processes() if b"ray::Worker" in _read(pid, "cmdline")]

    def processes(self, spared: bytes | None = None) -> list[int]:
        """The processes that it started and that still run, but for those named `spared`.

        A dead one has no environment.
        """
        mark = self.mark.encode()
        pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
        running = [pid for pid in pids if mark in _read(pid, "environ").split(b"\0")]
        return [pid for pid in running if not (spared and spared in _read(pid, "cmdline"))]

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
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CACHE", "CONFIG", "STATE", "DATA"):
            patch.setenv(f"XDG_{name}_HOME", str(library.parent / name.lower()))
        _tag_locally(library, tiny_model)
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


def test_a_killed_worker_costs_no_cover(
    originals: Path, local: dict[str, NDArray[np.int16]], tiny_model: TinyModel, tmp_path: Path
) -> None:
    library = _copy(originals, tmp_path, "killed-worker")
    command = _Command.tag(library, tiny_model)
    command.wait_for_cover()
    (worker,) = command.workers()
    os.kill(worker, signal.SIGKILL)  # most albums have not been sent to it yet
    errors = command.finish()
    assert command.process.returncode == 0, errors
    # Nothing of Ray's own, and not a word about the worker.
    assert [line for line in errors.splitlines() if line] == [
        f"Loading the model {tiny_model.adapter.name}.",
        "Next: rescan the library in your player. For different covers, use --force --seed 1.",
    ]
    _assert_same(_pictures(library), local)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_leaves_no_process_and_is_finished_by_the_other_engine(
    stop: signal.Signals,
    originals: Path,
    local: dict[str, NDArray[np.int16]],
    tiny_model: TinyModel,
    tmp_path: Path,
) -> None:
    library = _copy(originals, tmp_path, f"stopped-{stop.name}")
    command = _Command.tag(library, tiny_model)
    command.wait_for_cover()
    if stop is signal.SIGINT:  # as a terminal sends it
        os.killpg(command.process.pid, stop)
    else:
        command.process.kill()
    start = time.monotonic()
    errors = command.finish()
    assert time.monotonic() - start < 15
    assert command.process.returncode == (130 if stop is signal.SIGINT else -stop), errors
    # When the driver is killed, Ray's own agents take up to a minute to notice.
    spared = b"Agent" if stop is signal.SIGKILL else None
    assert _eventually(lambda: not command.processes(spared)), command.processes(spared)
    _tag_locally(library, tiny_model)
    _assert_same(_pictures(library), local)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster with a head that computes nothing, and one machine with one core."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": 80 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        cluster.shutdown()


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_machine_that_joins_takes_over_from_one_that_is_lost(
    cluster: Cluster, originals: Path, tiny_model: TinyModel
) -> None:
    machine = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    choice = ModelChoice(
        base=str(tiny_model.base),
        clap=str(tiny_model.clap),
        adapter=str(tiny_model.adapter),
        steps=3,
    )
    options = PaintOptions(
        preset=choose_preset(choice),
        device="cpu",
        dtype="auto",
        workers=1,
        batch_size=1,
        ray=RayOptions(address=cluster.address),
    )
    events: list[Event] = []
    with closing(ScanCache()) as scan_cache, closing(EmbeddingStore()) as store:
        planned = plan_library(PlanOptions(paths=(originals,)), scan_cache, lambda: None)
        plans = [plan for plan in planned if isinstance(plan, AlbumPlan)]
        painted = paint_plans(
            iter(plans),
            options,
            store,
            seeds=Seeds(run=0, per="album", of=lambda album: (len(album.title),)),
            meter=Meter(),
            then=lambda embedding, cover: (embedding, cover),
            emit=events.append,
            check_interrupted=lambda: None,
        )
        with closing(painted):
            embedding, cover = next(painted)
            assert embedding.vector.flags.writeable  # unlike arrays in Ray's store
            assert cover.pixels.flags.writeable
            done = [embedding.plan]
            cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
            cluster.remove_node(machine, allow_graceful=False)
            done += [embedding.plan for embedding, _ in painted]
    assert done == plans
