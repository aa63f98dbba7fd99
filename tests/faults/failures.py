"""Let system calls fail: each in turn, alone or with all later ones."""

import errno
from collections.abc import Iterator
from pathlib import Path

from tests.faults.shim import ALL, GROWING, MOVING, MUTATING, Fault, Mode
from tests.faults.trial import Scenario, Trials

__all__ = ["fail"]

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
