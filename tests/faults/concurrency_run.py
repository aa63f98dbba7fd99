"""Several processes on one library: writers, and a reader that must never see a partial file."""

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.media import EXTENSION, decoded_hash, encode, picture_bytes, put_picture, put_tags

__all__ = ["SCENARIOS", "ConcurrencyReport", "run"]

_ROOT = Path(__file__).parents[2]
_TRACKS = 6  # of each album; the first has the picture that goes into the others
_BUSY = "Another covergen is writing"
_FILL = ("tag", "--fill", "--yes")

SCENARIOS: dict[str, tuple[tuple[str, ...], tuple[str, ...], bool]] = {
    "two tags": (_FILL, _FILL, True),
    "two tags of two users": (_FILL, _FILL, False),
    "a tag and an undo": (_FILL, ("undo", "--yes", "1"), True),
}
"""Two simultaneous commands, and whether they share a state folder."""


@dataclass(slots=True, kw_only=True)
class ConcurrencyReport:
    """Counts of events, and broken promises."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = (f"{count:9,}  {name}" for name, count in sorted(self.counts.items()))
        return "\n".join([*counts, f"{len(self.faults):9,}  faults", *self.faults])


def run(
    seed: int = 0, count: int = 10, containers: Sequence[str] = tuple(EXTENSION)
) -> ConcurrencyReport:
    """Run each scenario `count` times, on an album of each container. `seed` is for the audio."""
    report = ConcurrencyReport()
    with tempfile.TemporaryDirectory() as name:
        for turn in range(count):
            for scenario in SCENARIOS:
                place = Path(name, f"{turn} {scenario}")
                library = _library(place / "library", containers, seed)
                _play(scenario, library, place, report)
    return report


def _play(
    scenario: str, library: dict[Path, bytes], place: Path, report: ConcurrencyReport
) -> None:
    first, second, together = SCENARIOS[scenario]
    root = place / "library"
    if "undo" in second:
        album = next(iter(library)).parent
        _finish(_start(place / "one", *_FILL, album), report, scenario)
    homes = (place / "one", place / ("one" if together else "two"))
    with _reader(library) as seen:
        commands = [(*c, root) if "undo" not in c else c for c in (first, second)]
        started = [_start(home, *c) for home, c in zip(homes, commands, strict=True)]
        for process in started:
            _finish(process, report, scenario)
    _finish(_start(place / "one", *_FILL, root), report, scenario)
    _check(library, seen, scenario, report)
    if stray := [path for path in root.rglob("*") if path.is_file() and path not in library]:
        report.faults.append(f"{scenario}: left behind: {stray}")


def _library(root: Path, containers: Sequence[str], seed: int) -> dict[Path, bytes]:
    """Create an album of each container. Returns the bytes of each file."""
    files = []
    for container in containers:
        for number in range(1, _TRACKS + 1):
            path = root / container / f"{number:02} Song{EXTENSION[container]}"
            encode(path, container, seconds=0.3, kind="melody", seed=seed + number)
            put_tags(path, container, {"album": container, "artist": "Ana"})
            files.append(path)
        first = root / container / f"01 Song{EXTENSION[container]}"
        put_picture(first, container, picture_bytes("png", 64))
    return {path: path.read_bytes() for path in files}


def _start(home: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "covergen", *map(str, arguments)]
    own = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CACHE", "CONFIG", "STATE")}
    return subprocess.Popen(
        command,
        cwd=_ROOT,
        env={**os.environ, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _finish(process: subprocess.Popen[str], report: ConcurrencyReport, scenario: str) -> None:
    output, _ = process.communicate(timeout=600)
    busy = _BUSY in output
    report.counts["commands"] += 1
    report.counts["commands that reported another one running"] += busy
    if process.returncode not in (0, 1) or "Traceback" in output:
        report.faults.append(f"{scenario}: exit code {process.returncode}: {output}")


@contextmanager
def _reader(library: dict[Path, bytes]) -> Iterator[dict[Path, Counter[str]]]:
    """Read every file repeatedly, like a player. Yields the hashes of what was read."""
    seen: dict[Path, Counter[str]] = defaultdict(Counter)
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            for path in library:
                with path.open("rb", buffering=0) as file:
                    digest = hashlib.sha256()
                    while block := file.read(4096):
                        digest.update(block)
                seen[path][digest.hexdigest()] += 1

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _check(
    library: dict[Path, bytes],
    seen: dict[Path, Counter[str]],
    scenario: str,
    report: ConcurrencyReport,
) -> None:
    """Check that every file is complete, and that only its old and new states were read."""
    for path, before in library.items():
        now = path.read_bytes()
        old, new = (hashlib.sha256(data).hexdigest() for data in (before, now))
        report.counts["complete files read"] += seen[path].total()
        report.counts["complete files read with the new cover"] += (
            seen[path].total() - seen[path][old]
        )
        if strange := seen[path].keys() - {old, new}:
            report.faults.append(f"{scenario}: {path} was read in {len(strange)} other states")
        original = path.with_suffix(".original")
        original.write_bytes(before)
        if decoded_hash(path) != decoded_hash(original):
            report.faults.append(f"{scenario}: the audio of {path} changed")
        original.unlink()
        if now == before and not path.name.startswith("01"):
            report.faults.append(f"{scenario}: {path} was not completed by the next run")
