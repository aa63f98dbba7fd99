"""The runs that write: each alone at its place, and in the journal."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.journal.journal import Journal
from covergen.journal.lock import library_lock
from covergen.journal.recorder import OpenRun
from covergen.journal.restore import settle_planned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from covergen.journal.journal import Run

__all__ = ["journalled", "known_runs", "open_run"]


@contextmanager
def open_run(
    action: str, paths: tuple[Path, ...], settings: Mapping[str, object], *, journal: bool = True
) -> Iterator[OpenRun | None]:
    """A run that may write at and below `paths`; None where it is not to be journalled.

    It goes on with the last run of the same action, paths and settings where that was stopped.
    Raises BusyError, JournalError.
    """
    roots = tuple(Path(os.path.realpath(path)) for path in paths)
    with library_lock(action, roots):
        if not journal:
            yield None
            return
        with closing(Journal()) as opened, journalled(opened, action, roots, settings) as run:
            yield run


@contextmanager
def journalled(
    journal: Journal, action: str, roots: tuple[Path, ...], settings: Mapping[str, object]
) -> Iterator[OpenRun]:
    """A run in the journal, of a process that holds the lock of its roots. Raises JournalError."""
    settle_planned(journal, roots)
    run = OpenRun(journal, action, roots, settings)
    try:
        yield run
    except BaseException:
        run.stop()
        raise
    run.finish()


def known_runs() -> list[Run]:
    """Every run in the journal, the latest first, that did anything. Raises JournalError."""
    with closing(Journal()) as journal:
        return [
            run for run in journal.runs() if run.written or (run.albums and run.action != "undo")
        ]
