"""A disk that fills up while covergen runs, and a limit on file sizes."""

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.command import Running
from tests.faults.shim import GROWING, Fault, Mode
from tests.faults.trial import Scenario, Trials

__all__ = ["fill_disk", "limit_files", "small_disk"]

_MAX_FILE_BYTES = 6_000  # more than a command prints, less than any song
_SPARE_BYTES = (0, 5_000, 40_000)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """Mount a small file system. Yields whether this process is allowed to."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def fill_disk(trials: Trials, scenario: Scenario) -> None:
    """Fill the bench's disk, except a few bytes, at each call that needs space."""
    filler = trials.bench.folder / "filler"

    def fill(spare: int) -> None:
        with filler.open("wb", buffering=0) as file:
            usage = os.statvfs(filler)
            left = usage.f_bavail * usage.f_frsize - spare
            os.posix_fallocate(file.fileno(), 0, max(1, left))

    for spare in _SPARE_BYTES:

        def work(_: Running, spare: int = spare) -> None:
            fill(spare)

        _stop_and(trials, scenario, f"{spare} bytes left", work, lambda: filler.unlink())


def limit_files(trials: Trials, scenario: Scenario) -> None:
    """Limit all files to a few thousand bytes from each call on."""

    def limit(running: Running) -> None:
        resource.prlimit(running.process, resource.RLIMIT_FSIZE, (_MAX_FILE_BYTES,) * 2)

    _stop_and(trials, scenario, "no large files", limit, lambda: None)


def _stop_and(
    trials: Trials,
    scenario: Scenario,
    name: str,
    work: Callable[[Running], None],
    end: Callable[[], None],
) -> None:
    bench = trials.bench
    for number, kind in scenario.calls_at(bench.trial, GROWING):
        fault = Fault(place=bench.trial, mode=Mode.STOP, at=number, kinds=GROWING)
        with trials.trial(
            "full-disk", f"{scenario.name} {name} from call {number} ({kind})"
        ) as wanted:
            if not wanted:
                continue
            bench.restore(scenario.state)
            running = trials.commands.start(*scenario.command, fault=fault)
            if running.wait():
                trials.note("it never stopped")
                continue
            work(running)
            ended = running.resume()
            trials.check(scenario, ended)
            end()
            trials.complete(scenario, times=not trials.may_lose_times(scenario, bench.trial))
