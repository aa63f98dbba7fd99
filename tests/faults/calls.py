"""Kill commands before system calls, let calls fail, and check their order."""

import errno
from collections.abc import Iterator
from pathlib import Path

from tests.faults.shim import ALL, GROWING, MOVING, MUTATING, Fault, Mode
from tests.faults.trial import Scenario, Trials

__all__ = ["check_order", "fail", "kill"]

_IDLE = {"close", "flock", "open-write"}  # these change nothing on disk


def kill(trials: Trials, scenario: Scenario, place: Path) -> None:
    """Kill a command at each of its changes at or below `place`."""
    kinds = MUTATING - _IDLE
    for number, kind in scenario.calls_at(place, kinds):
        at = f"call {number} ({kind} in {place.name})"
        fault = Fault(place=place, mode=Mode.KILL, at=number, kinds=kinds)
        trials.run("kills", f"before {at}", scenario, fault)
        if kind in MOVING:
            fault = Fault(place=place, mode=Mode.TEAR, at=number, kinds=kinds)
            trials.run("kills", f"within {at}", scenario, fault)


_PERSISTENT = {
    errno.ENOSPC: GROWING,
    errno.EROFS: MUTATING - {"close"},
    errno.EIO: ALL,
}
"""The calls that fail on a disk that is full, read-only or gone."""


def fail(trials: Trials, scenario: Scenario, place: Path, *, kinds: frozenset[str] = ALL) -> None:
    """Let every system call of these kinds at or below `place` fail.

    Calls that change something fail with every possible error, reading calls with one error each,
    in rotation. Some calls do only part of their work, or report an error after doing it.
    """
    for number, kind in scenario.calls_at(place, ALL):
        if kind not in kinds:
            continue
        at = f"call {number} ({kind} in {place.name})"
        for code in _errors(kind, number):
            fault = Fault(place=place, mode=Mode.FAIL, at=number, code=code)
            trials.run("failures", f"{errno.errorcode[code]} at {at}", scenario, fault)
        if kind in MOVING:
            fault = Fault(place=place, mode=Mode.SHORT, at=number)
            trials.run("failures", f"half at {at}", scenario, fault)
        if kind in {"rename", "link", "unlink"}:
            fault = Fault(place=place, mode=Mode.LATE, at=number, code=errno.EIO)
            trials.run("failures", f"EIO after {at}", scenario, fault)
    for code, refused in _PERSISTENT.items():
        for number, kind in scenario.calls_at(place, refused):
            if kind in MUTATING:
                name = f"{errno.errorcode[code]} from call {number} ({kind} in {place.name}) on"
                fault = Fault(
                    place=place, mode=Mode.FAIL, at=number, code=code, kinds=refused, onward=True
                )
                trials.run("failures", name, scenario, fault)


def _errors(kind: str, number: int) -> Iterator[int]:
    if kind not in MUTATING:
        yield (errno.EIO, errno.EACCES, errno.EINTR)[number % 3]
        return
    yield errno.EIO
    if kind != "close":
        yield from (errno.EINTR, errno.EACCES, errno.EROFS)
    if kind in GROWING:
        yield from (errno.ENOSPC, errno.EDQUOT)


_COMMITTED = "journal.sqlite-wal"  # where SQLite writes commits first
_NOTHING_NEW = _IDLE | {"fsync"}


def check_order(trials: Trials, scenario: Scenario) -> None:
    """Check that the order of a command's calls is safe against a power failure."""
    with trials.trial("order", scenario.name) as wanted:
        if wanted:
            trials.note(*_mistakes(trials, scenario))


def _mistakes(trials: Trials, scenario: Scenario) -> Iterator[str]:
    """Yield renames over a song before its copy or the journal was synced."""
    # Undo records what it did; the others record what they are about to do.
    needed = (".tmp",) if scenario.name.startswith("undo") else (".tmp", _COMMITTED)
    unsaved: set[str] = set()
    renamed = ""
    for kind, path in scenario.calls:
        if kind in {"fsync", "unlink"}:
            unsaved.discard(path)
            renamed = "" if path == str(Path(renamed).parent) else renamed
        elif kind in {"rename", "link"} and path.startswith(f"{trials.bench.library}/"):
            about = (name for name in unsaved if name.endswith(needed))
            yield from (f"{name} is not synced when {path} is renamed" for name in about)
            renamed = path
        elif kind in MUTATING - _NOTHING_NEW:
            unsaved.add(path)
            if path.endswith(_COMMITTED) and renamed:
                yield f"the journal is written before the folder of {renamed} is synced"
