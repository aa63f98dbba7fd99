"""What a job works with: the caches, and the run that it records."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.audio.embedding_cache import EmbeddingCache
from covergen.core.album import Track
from covergen.core.app_folders import cache_folder, state_folder
from covergen.core.atomic_write import remove_stale
from covergen.library.scanning.scan_cache import ScanCache

if TYPE_CHECKING:
    from covergen.journal.recorder import RunRecorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The open caches of a job. `run` is None if nothing is recorded in the journal."""

    scan_cache: ScanCache
    store: EmbeddingCache
    run: RunRecorder | None

    def note_written(self, track: Track) -> None:
        """Update the caches after a file has been replaced; `track` is as it was before."""
        self.store.carry_over(track)
        self.scan_cache.forget(track.path)


def _remove_stale_below(folder: Path) -> None:
    """Delete what killed processes left in one of covergen's own folders."""
    with suppress(OSError):
        for place in (folder, *filter(Path.is_dir, folder.iterdir())):
            remove_stale(place)


@contextmanager
def open_session(
    run: AbstractContextManager[RunRecorder | None] | None = None,
) -> Iterator[Session]:
    """Open the caches, and `run`, if the job records one. Raises what `run` raises."""
    # Painted covers that earlier versions kept until they were written.
    shutil.rmtree(state_folder() / "pending", ignore_errors=True)
    for folder in (cache_folder(), state_folder()):
        _remove_stale_below(folder)
    with (
        run or nullcontext() as recorder,
        closing(ScanCache()) as scan_cache,
        closing(EmbeddingCache()) as store,
    ):
        yield Session(scan_cache=scan_cache, store=store, run=recorder)
