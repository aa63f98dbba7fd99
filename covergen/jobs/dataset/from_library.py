"""Create a dataset from the user's own library, which is only read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from covergen.core.album import Album, AlbumPlan, Outcome, Track
from covergen.core.atomic_write import remove_stale
from covergen.core.errors import DecodeError, UsageError, WriteError
from covergen.core.os_errors import write_errors
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.datasets.album_pairs import Selection, make_pair, plan_pairs
from covergen.datasets.folder import AUDIO, IMAGES, check_place
from covergen.datasets.metadata import MetadataFile, read_metadata
from covergen.library.scanning.scan import ScanOptions, path_below, scan
from covergen.library.scanning.scan_cache import ScanCache
from covergen.pipeline.events import AlbumDone, CheckInterrupted, Emit, FileFailed, TrackEmbedded

if TYPE_CHECKING:
    from covergen.datasets.metadata import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectOptions:
    """What to collect from `paths` into `folder`. `workers` is the number of threads.

    Raises UsageError if `folder` is unsuitable for a dataset of these paths.
    """

    paths: tuple[Path, ...]
    folder: Path
    selection: Selection
    scan: ScanOptions = field(default_factory=ScanOptions)
    workers: int = 1

    def __post_init__(self) -> None:
        _check_apart(self.folder, self.paths)
        check_place(self.folder)


def preview_collection(
    options: CollectOptions, check_interrupted: CheckInterrupted
) -> Iterator[AlbumPlan | Outcome]:
    """Yield what `collect` would do, album by album. Read-only."""
    with closing(ScanCache()) as scan_cache:
        for item in _plan(options, _Contents(options.folder), scan_cache, check_interrupted):
            yield item if isinstance(item, Outcome) else item[0]


def collect(options: CollectOptions, emit: Emit, check_interrupted: CheckInterrupted) -> None:
    """Create the missing pairs. A complete pair has a row in metadata.csv.

    Raises WriteError if the dataset cannot be written, and Interrupted if `check_interrupted`
    raises it; pairs created so far are kept.
    """
    folder = options.folder
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for place in (folder, folder / AUDIO, folder / IMAGES):
        remove_stale(place)
    contents = _Contents(folder)
    with (
        closing(ScanCache()) as scan_cache,
        MetadataFile(folder) as metadata,
        ThreadPoolExecutor(options.workers, thread_name_prefix="cut") as pool,
    ):
        for item in _plan(options, contents, scan_cache, check_interrupted):
            if isinstance(item, Outcome):
                emit(FileFailed(outcome=item))
                continue
            plan, cover = item
            outcomes = []
            if cover is not None:
                cut = partial(_make, album=plan.album, cover=cover, options=options)
                for made in pool.map(cut, plan.targets):
                    outcomes.append(_record(made, contents, metadata))
                    emit(TrackEmbedded(plan=plan))
            emit(AlbumDone(plan=plan, reason=plan.reason, outcomes=tuple(outcomes)))


class _Contents:
    """The contents of a dataset: the stems of complete pairs (`done`) and of CSV rows (`rows`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = {PurePath(row.get("audio_filename", "")).stem for row in read_metadata(folder)}
        self.done = self.rows & _stems(folder / AUDIO) & _stems(folder / IMAGES)


def _plan(
    options: CollectOptions,
    contents: _Contents,
    scan_cache: ScanCache,
    check_interrupted: CheckInterrupted,
) -> Iterator[tuple[AlbumPlan, Picture | None] | Outcome]:
    for item in scan(options.paths, options.scan, scan_cache, check_interrupted=check_interrupted):
        if isinstance(item, Outcome):
            yield item
        else:
            yield plan_pairs(item, options.selection, contents.done)


def _make(track: Track, *, album: Album, cover: Picture, options: CollectOptions) -> Row | Outcome:
    try:
        return make_pair(
            track,
            album,
            cover,
            options.folder,
            windows=options.selection.windows,
            source=str(path_below(track.path, options.paths)),
        )
    except DecodeError as error:
        return Outcome.of_error(error)
    except WriteError as error:  # the dataset's failure, not the track's
        hint = "Existing pairs are kept: run the same command again for the rest."
        raise WriteError(error.path, error.reason, error.message, hint=hint) from error


def _record(made: Row | Outcome, contents: _Contents, metadata: MetadataFile) -> Outcome:
    """Add a pair to metadata.csv, once."""
    if isinstance(made, Outcome):
        return made
    path = contents.folder / AUDIO / made["audio_filename"]
    if path.stem not in contents.rows:
        metadata.append(made)
    return Outcome.written(path, Reason.MADE)


def _stems(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()} if folder.is_dir() else set()


def _check_apart(folder: Path, paths: Sequence[Path]) -> None:
    """Raise UsageError if the dataset and the library overlap."""
    place = folder.resolve()
    for path in paths:
        root = path.resolve()
        if place.is_relative_to(root) or root.is_relative_to(place):
            raise UsageError(
                f"{folder} and the library {path} overlap: excerpts would be taken for music."
                " Choose a folder outside the library."
            )
