"""Kill workers, machines and the driver of the Ray engine at random, until a library is done.

The machines are those of `tests.machines`: they have the library at another path, and cannot see
the driver's.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from PIL import Image

from tests.faults.promise import broken, look, strays, uncovered
from tests.machines import can_isolate, isolated, kill, processes, started
from tests.measured import at_home
from tests.media import EXTENSION, encode, put_tags
from tests.media.oracle import front_cover
from tests.tiny_base import make_tiny_adapter, make_tiny_base
from tests.tiny_clap import make_tiny_clap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tests.faults.promise import Look
    from tests.machines import Machine, Machines

__all__ = ["KillReport", "run"]

_ROOT = Path(__file__).parents[2]
_ALBUMS, _TRACKS = 16, 2
_CONTAINERS = ("flac", "mp3", "mp4")
_KILLS = 3  # in a turn
_LONGEST_WAIT = 7.0  # seconds before a kill; a run takes about twice as long
_VICTIMS = ("worker", "machine", "driver")
_PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class KillReport:
    """What the trials printed, and whether one of them failed or could not be run."""

    text: str
    faults: bool

    def __str__(self) -> str:
        return self.text


def run(seed: int = 0, count: int = 10) -> KillReport:
    """Tag a library `count` times, with kills that depend on `seed`.

    Before that, embed it on machines that lack an album.
    """
    if not can_isolate():
        return KillReport("The machines need Linux, `ip`, `unshare` and root.", faults=True)
    done = subprocess.run(
        isolated(__name__, seed, count),
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return KillReport(done.stdout, faults=done.returncode != 0)


@dataclass(slots=True, kw_only=True)
class _Bench:
    """A library, a model, and what the local engine makes of them."""

    folder: Path
    machines: Machines
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    _at: str = ""

    @property
    def original(self) -> Path:
        return self.folder / "original"

    @property
    def library(self) -> Path:
        return self.folder / "library"

    def note(self, *faults: str) -> None:
        self.faults += [f"{self._at}: {fault}" for fault in faults]

    def add_machine(self, music: Path | None = None) -> Machine:
        """Add one that has the library, or other `music`, at another path."""
        return self.machines.add({self.there: music or self.original}, hidden=self.library)

    @property
    def there(self) -> Path:
        return self.folder / "mounted"

    @property
    def cluster(self) -> tuple[str, ...]:
        """Options that use the machines."""
        mapped = f"{self.library}={self.there}"
        return "--engine", "ray", "--ray-address", self.machines.address, "--path-map", mapped

    def tag(self, *options: str) -> subprocess.Popen[bytes]:
        """Start `covergen tag` on the library."""
        parts = {name: self.folder / "model" / name for name in ("base", "clap", "adapter")}
        model = [word for name, path in parts.items() for word in (f"--{name}", path)]
        return self.start("tag", "--yes", "--steps", 12, "--batch-size", 1, *model, *options)

    def start(self, *words: object) -> subprocess.Popen[bytes]:
        """Start a command on the library; its output is appended to a file."""
        command = ["-m", "covergen", *map(str, words), "--json", "--jobs", "1", str(self.library)]
        environment = at_home(self.folder / "home")
        environment.pop("RAY_AUTH_MODE")  # covergen uses the token without it
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *command],
                cwd=_ROOT,
                env=environment,
                stdout=output,
                stderr=output,
            )

    def finish(self, process: subprocess.Popen[bytes], expected: int = 0) -> list[dict[str, Any]]:
        """Wait for a command; return the objects that it and those before it printed."""
        try:
            code = process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        text = (self.folder / "output").read_text()
        if code != expected or "Traceback" in text:
            self.note(f"it ended with {code}: {text[-2000:]}")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def begin(self, name: str) -> None:
        """Restore the library and forget what was written."""
        self._at = name
        for place in (self.library, self.folder / "home"):
            shutil.rmtree(place, ignore_errors=True)
        (self.folder / "output").unlink(missing_ok=True)
        shutil.copytree(self.original, self.library)

    def pictures(self) -> dict[str, NDArray[np.int16]]:
        """The cover of each album."""
        covers = {path.name: front_cover(next(path.iterdir())) for path in self.library.iterdir()}
        return {
            name: np.asarray(Image.open(io.BytesIO(data)), np.int16)
            for name, data in covers.items()
            if data
        }

    def check_covers(self, expected: dict[str, NDArray[np.int16]]) -> None:
        """Check that nothing but the cover changed, and that it is that of the local engine."""
        pictures = self.pictures()
        for album in sorted(self.original.iterdir()):
            now = self.library / album.name
            self.note(*uncovered(album, now, front_cover(next(now.iterdir()))))
            if album.name not in pictures:
                self.note(f"{album.name} has no cover")
            elif np.abs(pictures[album.name] - expected[album.name]).max() > 1:
                self.note(f"{album.name} has another cover than the local engine paints")

    def check_undo(self, before: Look, runs: int) -> None:
        """Check that undoing all runs restores every byte, and leaves nothing behind."""
        for _ in range(runs):
            if not list(broken(look(self.library), before)):
                break
            command = [sys.executable, "-m", "covergen", "undo", "--yes"]
            environment = at_home(self.folder / "home")
            subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, check=False)
        now = look(self.library)
        self.note(*(f"after undo: {one}" for one in broken(now, before, times=True)))
        self.note(*(f"{name} is left behind" for name in strays(now)))


def _make_library(folder: Path) -> None:
    for number in range(_ALBUMS):
        container = _CONTAINERS[number % len(_CONTAINERS)]
        for track in range(_TRACKS):
            song = folder / f"Album {number:02}/{track}{EXTENSION[container]}"
            encode(song, container, seconds=1, kind="melody", seed=_TRACKS * number + track)
            put_tags(song, container, {"album": f"Album {number:02}", "artist": "Ana"})


def _make_painter(folder: Path) -> None:
    base = make_tiny_base(folder / "base")
    make_tiny_adapter(folder / "adapter", base)


def _play(bench: _Bench, chance: random.Random, expected: dict[str, NDArray[np.int16]]) -> None:
    """Tag the library while things are killed, then undo it."""
    before = look(bench.library)
    starts = 1
    process = bench.tag(*bench.cluster)
    for _ in range(_KILLS):
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, _LONGEST_WAIT))
            break
        victim = chance.choice(_VICTIMS)
        bench.counts[f"{victim}s killed"] += _kill(victim, bench, process, chance)
        if victim == "driver":
            starts += 1
            process = bench.tag(*bench.cluster)
    done = bench.finish(process)
    bench.note(*(f"it says {one}" for one in done if one.get("result") in ("failed", "partly")))
    bench.check_covers(expected)
    bench.check_undo(before, starts)
    bench.counts["commands"] += starts
    end = time.monotonic() + _PATIENCE_SECONDS
    while workers := processes("ray::Worker"):
        if time.monotonic() > end:
            bench.note(f"{len(workers)} workers are left")
            break
        time.sleep(0.2)


def _kill(
    victim: str, bench: _Bench, process: subprocess.Popen[bytes], chance: random.Random
) -> bool:
    """Kill one of those that run. Returns whether there was one."""
    if victim == "driver":
        process.kill()
        return process.wait(_PATIENCE_SECONDS) == -signal.SIGKILL
    if victim == "machine":
        killed = bench.machines.remove(chance.choice(bench.machines.machines))
        bench.add_machine()
        return killed
    workers = sorted(processes("ray::Worker"))
    return bool(workers) and kill(chance.choice(workers))


def _try_mounts(bench: _Bench) -> None:
    """Embed the library on two machines of which neither has a certain album."""
    bench.begin("mounts")
    partial = bench.folder / "partial"
    shutil.copytree(bench.original, partial)
    missing = f"Album {_ALBUMS // 2:02}"
    shutil.rmtree(partial / missing)
    for machine in [bench.add_machine(partial) for _ in range(2)]:
        machine.wait()
    clap, embeddings = bench.folder / "model/clap", bench.folder / "embeddings"
    command = bench.start("embed", "--clap", clap, "-o", embeddings, *bench.cluster)
    done = [one for one in bench.finish(command, expected=1) if one["type"] == "album"]
    failed = [one for one in done if one["result"] != "embedded"]
    bench.counts["files embedded with a path map"] += len(done) - len(failed)
    if len(failed) != _TRACKS or any(Path(one["folder"]).name != missing for one in failed):
        bench.note(f"it says {(bench.folder / 'output').read_text()}")
    for file in (file for one in failed for file in one["files"]):
        if not any(f"on {one.name}." in file["message"] for one in bench.machines.machines):
            bench.note(f"no machine is named: {file}")
    for machine in list(bench.machines.machines):
        bench.machines.remove(machine)


def _try_kills(bench: _Bench, seed: int, count: int) -> None:
    _make_painter(bench.folder / "model")
    bench.begin("local")
    bench.finish(bench.tag())
    expected = bench.pictures()
    for machine in [bench.add_machine() for _ in range(2)]:
        machine.wait()
    for turn in range(count):
        bench.begin(f"turn {turn}")
        _play(bench, random.Random(f"{seed} {turn}"), expected)
        click.echo(f"turn {turn}: {bench.counts}", err=True)


def main(seed: int, count: int) -> None:
    """Print a report. Exits with 1 if there were faults."""
    with tempfile.TemporaryDirectory() as name, started(Path(name)) as machines:
        bench = _Bench(folder=Path(name), machines=machines)
        _make_library(bench.original)
        make_tiny_clap(bench.folder / "model/clap")
        _try_mounts(bench)
        if count:
            _try_kills(bench, seed, count)
    for line in _report(bench):
        click.echo(line)
    sys.exit(bool(bench.faults))


def _report(bench: _Bench) -> Iterator[str]:
    for name, number in sorted(bench.counts.items()):
        yield f"{number:9,}  {name}"
    yield f"{len(bench.faults):9,}  faults"
    yield from bench.faults


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
