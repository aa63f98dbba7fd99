"""A sample of `python -m tests.faults`, and tests of the harness itself."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.__main__ import PARTS, attempt
from tests.faults.bench import Bench
from tests.faults.command import Commands
from tests.faults.promise import broken, look, misbehaved, uncovered
from tests.faults.scenarios import scenarios
from tests.faults.shim import can_build
from tests.faults.trial import Trials
from tests.media import Library

pytestmark = pytest.mark.skipif(not can_build(), reason="the shim requires Linux and gcc")

# One container per tag format. FLAC also gets the faults of covergen's own files.
_SAMPLES = dict.fromkeys(("mp3", "mp4", "vorbis", "asf", "wavpack", "wav", "dff"), 900) | {
    "flac": 600
}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """A bench in memory, if possible, where syncing is fast."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Bench(Path(folder))


@pytest.fixture(scope="module")
def commands(bench: Bench) -> Iterator[Commands]:
    with Commands(bench.folder, bench.environment) as running:
        yield running


@pytest.mark.parametrize("container", _SAMPLES)
def test_every_file_is_unchanged_or_complete(
    bench: Bench, commands: Commands, shared_library: Library, container: str
) -> None:
    files = {container: shared_library.every_container[container]}
    for seed in range(6, 16):  # a sample may be empty
        trials = Trials(bench=bench, commands=commands, every=_SAMPLES[container], seed=seed)
        for scenario in scenarios(trials, files):
            attempt(trials, scenario, PARTS, thorough=container == "flac")
        if trials.done.total():
            break
    assert trials.done.total() > 0
    assert trials.broken == []


# The harness itself.


@pytest.fixture
def flac(bench: Bench, shared_library: Library) -> Path:
    """A song in the bench's library."""
    bench.begin({"flac": shared_library.every_container["flac"]})
    return bench.library / "Album/flac.flac"


def _apply(bench: Bench) -> tuple[object, ...]:
    return ("apply", bench.preview, "--library", bench.library, "--json")


def test_broken_promises_are_detected(
    bench: Bench, commands: Commands, flac: Path, tmp_path: Path
) -> None:
    before, original = look(bench.library), tmp_path / "Album"
    original.mkdir()
    (original / flac.name).write_bytes(flac.read_bytes())
    assert not list(broken(look(bench.library), before))
    assert list(uncovered(original, flac.parent, bench.cover())), "it has no cover yet"
    commands.run(*_apply(bench))
    assert not list(uncovered(original, flac.parent, bench.cover()))
    data = flac.read_bytes()
    for spoiled in (data[:-300], data[:-1], data[:-300] + bytes(300)):
        flac.write_bytes(spoiled)
        assert list(broken(look(bench.library), before))
    flac.unlink()
    assert list(broken(look(bench.library), before))
    assert not list(misbehaved(commands.run("--version")))
