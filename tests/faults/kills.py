"""Kill commands before each system call that changes something, and during writes."""

from pathlib import Path

from tests.faults.shim import MOVING, MUTATING, Fault, Mode
from tests.faults.trial import Scenario, Trials

__all__ = ["kill"]

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
