"""A power cut loses what was not yet on the disk: no name may be given to such a file."""

from collections.abc import Iterator
from pathlib import Path

from tests.faults.shim import MUTATING
from tests.faults.trial import Scenario, Trials

__all__ = ["check_order"]

_COMMITTED = "journal.sqlite-wal"  # where SQLite keeps what was committed, at first
_IDLE = {"close", "flock", "open-write", "fsync"}


def check_order(trials: Trials, scenario: Scenario) -> None:
    """Note where the order of a command's calls would not outlive a power cut."""
    with trials.trial("order", scenario.name) as wanted:
        if wanted:
            trials.note(*_mistakes(trials, scenario))


def _mistakes(trials: Trials, scenario: Scenario) -> Iterator[str]:
    """A rename over a song of a copy, or with a journal, that is not on the disk."""
    # An undoing notes what it did; the others, what they are about to do.
    needed = (".tmp",) if scenario.name.startswith("undo") else (".tmp", _COMMITTED)
    unsaved: set[str] = set()
    renamed = ""
    for kind, path in scenario.calls:
        if kind in {"fsync", "unlink"}:
            unsaved.discard(path)
            renamed = "" if path == str(Path(renamed).parent) else renamed
        elif kind in {"rename", "link"} and path.startswith(f"{trials.bench.library}/"):
            about = (name for name in unsaved if name.endswith(needed))
            yield from (f"{name} is not on the disk when {path} gets its name" for name in about)
            renamed = path
        elif kind in MUTATING - _IDLE:
            unsaved.add(path)
            if path.endswith(_COMMITTED) and renamed:
                yield f"the journal goes on before the name of {renamed} is on the disk"
