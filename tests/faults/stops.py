"""Stop a command at a system call, fill the disk or change its files, and let it continue."""

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.command import Running
from tests.faults.promise import broken, look, misbehaved, strays
from tests.faults.shim import ALL, GROWING, MUTATING, Fault, Mode
from tests.faults.trial import Scenario, Trials

__all__ = ["fill_disk", "limit_files", "meddle", "small_disk"]

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


def _append(song: Path) -> None:
    with song.open("ab") as file:
        file.write(b"TAG" + bytes(125))


def _change_unseen(song: Path) -> None:
    """Change a byte, but neither size nor mtime."""
    status = song.stat()
    with song.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    os.utime(song, ns=(status.st_atime_ns, status.st_mtime_ns))


def _replace(song: Path) -> None:
    other = song.with_name("other")
    other.write_bytes(song.read_bytes()[::-1])
    other.replace(song)


def _rename(song: Path) -> None:
    song.rename(song.with_name(f"renamed{song.suffix}"))


def _delete(song: Path) -> None:
    song.unlink()


def _link(song: Path) -> None:
    """Move the file elsewhere, and put a link in its place."""
    elsewhere = song.parents[2] / "elsewhere"
    elsewhere.mkdir()
    song.rename(elsewhere / song.name)
    song.symlink_to(elsewhere / song.name)


def _link_to_another(song: Path) -> None:
    other = song.parents[2] / "another"
    other.write_bytes(song.read_bytes())
    song.unlink()
    song.symlink_to(other)


def _move_folder(song: Path) -> None:
    song.parent.rename(song.parent.with_name("Moved"))


_WAYS: tuple[Callable[[Path], None], ...] = (
    _append,
    _change_unseen,
    _replace,
    _rename,
    _delete,
    _link,
    _link_to_another,
    _move_folder,
)


def meddle(trials: Trials, scenario: Scenario, *, thorough: bool) -> None:
    """Stop a command at its calls on the library, change its song, and let it continue.

    `thorough`: make every change at every call; otherwise one change, in rotation, at each call
    that changes something.
    """
    kinds = ALL if thorough else MUTATING - {"close"}
    for number, kind in scenario.calls_at(trials.bench.library, kinds):
        for way in _WAYS if thorough else (_WAYS[(number + len(scenario.name)) % len(_WAYS)],):
            name = f"{scenario.name} {way.__name__[1:]} at call {number} ({kind})"
            fault = Fault(place=trials.bench.library, mode=Mode.STOP, at=number, kinds=kinds)
            with trials.trial("meddling", name) as wanted:
                if wanted:
                    _try(trials, scenario, fault, way)


def _try(trials: Trials, scenario: Scenario, fault: Fault, way: Callable[[Path], None]) -> None:
    bench, commands = trials.bench, trials.commands
    bench.restore(scenario.state)
    (song,) = (path for path in (bench.library / "Album").iterdir() if path.suffix != ".png")
    running = commands.start(*scenario.command, fault=fault)
    if running.wait():
        trials.note("it never stopped")
        return
    way(song)
    left = look(bench.trial)
    trials.note(*misbehaved(running.resume()))
    # After undo, everything must be as the other program left it.
    for command in (scenario.command, ("undo", "--yes"), ("undo", "--yes")):
        trials.note(*misbehaved(commands.run(*command)))
    now = look(bench.trial)
    ours = {name for name in now.keys() | left.keys() if _is_ours(name)} | strays(left)
    music = [{name: seen for name, seen in one.items() if name not in ours} for one in (now, left)]
    trials.note(*broken(*music))
    if way is not _move_folder:  # later runs do not visit the moved folder
        trials.note(*(f"{name} is left behind" for name in strays(now)))


def _is_ours(name: str) -> bool:
    return name.startswith(("home/", "preview/")) or name.endswith("/cover.png")
