"""Files built to use too much time or memory are handled quickly, with a clear message."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.fuzz_run import LIMIT_KIB, Worker, worker
from tests.faults.hostile_files import HOSTILE
from tests.media import encode

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures memory with /proc")

_MAX_SECONDS = 30  # on a busy machine


@pytest.fixture(scope="module")
def at_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    seeds = tmp_path_factory.mktemp("seeds")
    encode(seeds / "a.m4a", "mp4", seconds=0.2)  # so that idle memory includes all modules
    with worker(seeds) as process:
        yield process


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_stays_within_limits(name: str, at_work: Worker, tmp_path: Path) -> None:
    suffix, make, message = HOSTILE[name]
    path = tmp_path / f"file{suffix}"
    make(path)

    started = time.monotonic()
    answer = at_work.ask(str(path))

    assert not answer["faults"]
    assert answer["above_kib"] <= LIMIT_KIB
    assert any(message in text for text in answer["messages"]), answer["messages"]
    assert time.monotonic() - started < _MAX_SECONDS
