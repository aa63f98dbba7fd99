"""Scan, decode and write damaged files of every container, within limits."""

import json
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.fuzz_files import make_seeds

__all__ = ["LIMIT_KIB", "FuzzReport", "Worker", "run", "worker"]

LIMIT_KIB = 300 << 10
_LIMIT_SECONDS = 60  # per file, on a busy machine
_START_SECONDS = 600
_ROOT = Path(__file__).parents[2]


@dataclass(slots=True, kw_only=True)
class FuzzReport:
    """Counts of results; `faults` are broken promises by file number."""

    files: int = 0
    scanned: int = 0
    decoded: int = 0
    written: int = 0
    idle_kib: int = 0
    most_above_kib: int = 0
    worst: int = -1
    faults: dict[int, list[str]] = field(default_factory=dict)

    def add(self, number: int, answer: dict[str, Any]) -> None:
        """Count a file."""
        self.scanned += answer["scanned"]
        self.decoded += answer["decoded"]
        self.written += answer["written"]
        above = answer["above_kib"]
        if above > self.most_above_kib:
            self.most_above_kib, self.worst = above, number
        if above > LIMIT_KIB:
            answer["faults"].append(f"{above >> 10} MiB above the idle process")
        if answer["faults"]:
            self.faults[number] = answer["faults"]

    def __str__(self) -> str:
        counts = (
            f"{self.files:,} damaged files: {self.scanned:,} scanned,"
            f" {self.decoded:,} decoded, {self.written:,} written;"
            f" {len(self.faults):,} faults."
        )
        memory = (
            f"Memory: {self.idle_kib >> 10} MiB idle, at most {self.most_above_kib >> 10} MiB more"
            f" (file {self.worst})."
        )
        faults = (f"{number}: {'; '.join(found)}" for number, found in self.faults.items())
        return "\n".join([counts, memory, *faults])


class Worker:
    """The process that handles the files; `idle_kib` is its memory before the first one."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.idle_kib: int = self._answer(_START_SECONDS)

    def ask(self, what: int | str) -> dict[str, Any]:
        """Send a damaged file's number, or a path. Raises TimeoutError, or EOFError if it died."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = self._answer(_LIMIT_SECONDS)
        return answer

    def _answer(self, seconds: float) -> Any:  # noqa: ANN401 - it is JSON
        assert self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                raise TimeoutError(f"no end within {seconds} s")
        line = self._process.stdout.readline()
        if not line:
            raise EOFError(f"the process died: {self._process.wait()}")
        return json.loads(line)


@contextmanager
def worker(seeds: Path, seed: int = 0) -> Iterator[Worker]:
    """Run a worker, and kill it at the end."""
    command = [sys.executable, "-m", "tests.faults.fuzz_worker", str(seeds), str(seed)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=_ROOT, stdin=pipe, stdout=pipe)
    try:
        yield Worker(process)
    finally:
        process.kill()
        process.communicate()


def run(seed: int = 0, count: int = 20_000) -> FuzzReport:
    """Process `count` files. A worker that hangs is killed, and its file counts as a fault."""
    report = FuzzReport()
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder, "seeds")
        make_seeds(seeds)
        while report.files < count:
            with worker(seeds, seed) as at_work:
                report.idle_kib = at_work.idle_kib
                _send(at_work, report, count)
    return report


def _send(at_work: Worker, report: FuzzReport, count: int) -> None:
    """Send files until the last one, or until the process dies."""
    for number in range(report.files, count):
        report.files += 1
        try:
            report.add(number, at_work.ask(number))
        except (EOFError, TimeoutError) as error:
            report.faults[number] = [str(error)]
            break
