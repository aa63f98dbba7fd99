"""Helpers for tests that write with a journal."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from covergen.core.album import Album, Outcome, Status
from covergen.core.picture import Picture
from covergen.journal.journal import Journal
from covergen.journal.recorder import RunRecorder
from covergen.journal.schema import Write
from covergen.library.writing.rewrite import RewriteOptions, write_cover
from tests.unit.library.written import same_packets, track
from tests.values import PROVENANCE


def album(folder: Path, key: str = "key") -> Album:
    return Album(key=key, folder=folder, title="T\udc80", artist="A", date="1997", tracks=())


@contextmanager
def open_run(
    journal: Journal, folder: Path, settings: dict[str, object] | None = None
) -> Iterator[RunRecorder]:
    """A run that finishes."""
    run = RunRecorder(journal, "tag", (folder,), settings or {})
    yield run
    run.finish()


def write(
    path: Path, container: str, picture: Picture, run: RunRecorder, key: str = "key"
) -> Outcome:
    """Write a cover like a run, with a journal."""
    outcome = write_cover(
        track(path, container),
        picture,
        same_sound=same_packets,
        options=RewriteOptions(),
        record=run.record(album(path.parent, key), PROVENANCE),
    )
    assert outcome.status is Status.WRITTEN, outcome
    return outcome


def tagged(path: Path, container: str, picture: Picture) -> None:
    """Write a cover in a separate run."""
    with closing(Journal()) as journal, open_run(journal, path.parent) as run:
        write(path, container, picture, run)


def last_write(journal: Journal, path: Path) -> Write:
    return journal.history(path)[0]
