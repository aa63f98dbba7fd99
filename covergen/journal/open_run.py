"""Open a run: lock its folders and record it in the journal."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.journal.journal import Journal
from covergen.journal.lock import library_lock
from covergen.journal.recorder import RunRecorder
from covergen.journal.restore import settle_planned

if TYPE_CHECKING:
    from covergen.journal.schema import Run


@contextmanager
def open_run(
    action: str, paths: tuple[Path, ...], settings: Mapping[str, object], *, journal: bool = True
) -> Iterator[RunRecorder | None]:
    """Lock `paths` for a run that writes there, and record it; yields None without a journal.

    Continues the last run with the same action, paths and settings if that one was interrupted.
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
) -> Iterator[RunRecorder]:
    """Record a run; the caller must hold the lock of its roots. Raises JournalError."""
    settle_planned(journal, roots)
    run = RunRecorder(journal, action, roots, settings)
    try:
        yield run
    except BaseException:
        run.stop()
        raise
    run.finish()


def known_runs() -> list[Run]:
    """Return every run that did anything, latest first. Raises JournalError."""
    with closing(Journal()) as journal:
        return [
            run for run in journal.runs() if run.written or (run.albums and run.action != "undo")
        ]
