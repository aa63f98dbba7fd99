"""Files must be synced before they are renamed, or a power failure loses data."""

from collections.abc import Iterator
from pathlib import Path

from tests.faults.shim import MUTATING
from tests.faults.trial import Scenario, Trials

__all__ = ["check_order"]

_COMMITTED = "journal.sqlite-wal"  # where SQLite writes commits first
_IDLE = {"close", "flock", "open-write", "fsync"}


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
        elif kind in MUTATING - _IDLE:
            unsaved.add(path)
            if path.endswith(_COMMITTED) and renamed:
                yield f"the journal is written before the folder of {renamed} is synced"
