"""What a worker returns, without Ray."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import covergen
from covergen.core.album import Action, AlbumPlan, Status
from covergen.core.reasons import Reason
from covergen.pipeline.engines import ray_worker
from covergen.pipeline.engines.ray_worker import (
    Failure,
    Order,
    Progress,
    Row,
    Setup,
    Started,
    Worker,
)
from covergen.pipeline.events import CompilingFailed, Emit, Painting, TrackEmbedded
from covergen.pipeline.load_model import find_audio_encoder
from covergen.pipeline.model_choice import ModelChoice, choose_preset
from covergen.pipeline.options import PaintOptions, RayOptions
from tests.media import encode
from tests.tiny_clap import make_tiny_clap
from tests.values import make_album


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clap(tmp_path_factory.mktemp("model") / "clap")


def _setup(clap: Path, *mappings: tuple[Path, Path], version: str = covergen.__version__) -> Setup:
    options = PaintOptions(
        preset=choose_preset(ModelChoice(clap=str(clap))),
        device="cpu",
        dtype="fp32",
        workers=1,
        ray=RayOptions(path_map=mappings),
    )
    return Setup(
        options=options,
        paints=False,
        run_seed=0,
        per="album",
        folder=Path.cwd(),
        version=version,
    )


def _order(
    *paths: Path, vectors: Mapping[int, np.ndarray] | None = None, folders: tuple[Path, ...] = ()
) -> Order:
    album = make_album(paths[0].parent, *(path.name for path in paths))
    plan = AlbumPlan(album=album, action=Action.PAINT, reason=Reason.NO_COVER)
    return Order(plan=plan, seeds=(), vectors=vectors or {}, folders=frozenset(folders))


def _work(setup: Setup, *orders: Order) -> list[Row]:
    worker = Worker(setup)
    assert isinstance(worker.start(), Started)
    with closing(worker):
        rows, _ = worker.work(orders)
    assert not isinstance(rows, Failure)
    return list(rows)


def test_a_file_that_cannot_be_read_is_an_outcome_with_the_host(clap: Path, tmp_path: Path) -> None:
    song = encode(tmp_path / "song.flac", "flac", seconds=1)
    missing = tmp_path / "missing.flac"
    partly, nothing = _work(_setup(clap), _order(song, missing), _order(missing))
    assert partly.vector is not None
    assert [k for k, *_ in partly.embedded] == [0]
    assert nothing.vector is None
    for row, index in ((partly, 1), (nothing, 0)):
        ((k, outcome),) = row.undecoded
        assert k == index
        assert outcome.status is Status.FAILED
        assert outcome.reason is Reason.UNREADABLE
        assert f"on {socket.gethostname()}" in outcome.message
        assert "--path-map" in outcome.message


def test_files_are_read_where_the_most_specific_mapping_says(clap: Path, tmp_path: Path) -> None:
    encode(tmp_path / "there/song.flac", "flac", seconds=1)
    here = Path("/library/music")
    mappings = ((here.parent, Path("/nowhere")), (here, tmp_path / "there"))
    (row,) = _work(_setup(clap, *mappings), _order(here / "song.flac"))
    assert row.vector is not None


def test_a_machine_without_the_library_does_not_fail_all_of_its_albums(
    clap: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    song = encode(here / "song.flac", "flac", seconds=1)
    # A folder that is gone for the driver, too, is the failure of its album alone.
    gone = _order(tmp_path / "gone/song.flac")
    worker = Worker(_setup(clap))
    assert isinstance(worker.start(), Started)
    with closing(worker):
        rows, _ = worker.work([gone])
        assert not isinstance(rows, Failure)
        assert rows[0].vector is None

        failure, _ = worker.work([gone, _order(there / "song.flac", folders=(there,))])
        assert isinstance(failure, Failure)
        assert failure.message == f"{there} is not on this machine."
        assert "--path-map" in failure.hint

        rows, _ = worker.work(
            [_order(there / "song.flac", folders=(there,)), _order(song, folders=(here,))]
        )
        assert not isinstance(rows, Failure)
        assert [row.vector is None for row in rows] == [True, False]


def test_cached_tracks_are_not_opened(clap: Path, tmp_path: Path) -> None:
    vector = np.eye(1, 512, dtype=np.float32)[0]
    (row,) = _work(_setup(clap), _order(tmp_path / "gone/song.flac", vectors={0: vector}))
    np.testing.assert_array_equal(row.vector, vector)
    assert row.embedded == ()


def test_another_version_of_covergen_is_refused(clap: Path) -> None:
    failure = Worker(_setup(clap, version="0.0.1")).start()
    assert isinstance(failure, Failure)
    assert "0.0.1 here" in failure.message


def test_a_gpu_that_ray_did_not_assign_is_not_used(
    clap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    setup = _setup(clap)
    setup = replace(setup, options=replace(setup.options, device="auto"))
    song = encode(tmp_path / "song.flac", "flac", seconds=1)
    (row,) = _work(setup, _order(song))  # and not with a GPU, which this machine may lack
    assert row.vector is not None


def test_a_machine_whose_gpu_cannot_be_used_is_refused(
    clap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    failure = Worker(replace(_setup(clap), gpu=True)).start()
    assert isinstance(failure, Failure)
    assert failure.message == "PyTorch cannot use its GPU: it finds no CUDA device."
    assert "--device cpu" in failure.hint


def test_what_the_model_notes_while_it_paints_is_returned_once(
    clap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = replace(_setup(clap), paints=True)
    model = SimpleNamespace(audio_encoder=find_audio_encoder(setup.options, lambda _: None))
    failed = CompilingFailed(device="cuda", why="there is no C compiler")
    emits: list[Emit] = []

    def paint(*_: object, **__: object) -> Iterator[list[object]]:
        while emits:
            emits.pop()(failed)
        return iter(())

    def load(emit: Emit) -> object:
        emits.append(emit)
        return model

    monkeypatch.setattr(ray_worker, "find_model", lambda *_: SimpleNamespace(load=load))
    monkeypatch.setattr(ray_worker, "paint_albums", paint)
    songs = [encode(tmp_path / f"{n}.flac", "flac", seconds=1) for n in range(2)]
    worker = Worker(setup)
    assert isinstance(worker.start(), Started)
    with closing(worker):
        noted = [[row.notes for row in worker.work(list(map(_order, songs)))[0]] for _ in range(2)]
    assert noted == [[(failed,), ()], [(), ()]]


def test_progress_counts_tracks_and_albums(clap: Path) -> None:
    plan = _order(Path("/song.flac")).plan
    progress = Progress()
    for event in (TrackEmbedded(plan=plan), Painting(albums=0.25), Painting(albums=0.5)):
        progress = progress.after(event)
    assert progress == Progress(1, 0.75)
    assert Worker(_setup(clap)).progress() == {}
