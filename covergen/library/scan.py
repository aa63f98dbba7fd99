"""Folders to tracks to albums, as a stream: the library may be of any size."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from covergen.core.errors import TagError
from covergen.core.reasons import Reason
from covergen.core.types import Album, Outcome, Status, Track
from covergen.library.albums import albums_in
from covergen.library.containers import holds_covers
from covergen.library.folders import AlbumFolder, Folder
from covergen.library.memory import Failure, ScanMemory, Seen
from covergen.library.tags import read_track
from covergen.library.walk import walk

__all__ = ["ScanOptions", "scan"]

_MOST_UNSAVED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """What is passed over, and whether an album is what its tags say, or every track its own.

    `exclude`: globs of names, or of paths relative to the folder given. `follow_symlinks`: also
    out of that folder. `bare`: files that cannot hold a cover are tracks too, but not beside those
    that can, unless each is an album of its own.
    """

    exclude: tuple[str, ...] = ()
    follow_symlinks: bool = False
    per: Literal["album", "track"] = "album"
    bare: bool = False


def scan(
    paths: Sequence[Path],
    options: ScanOptions,
    memory: ScanMemory,
    *,
    checkpoint: Callable[[], None],
) -> Iterator[Album | Outcome]:
    """Yield the albums in folders and files, each when its folder and its discs have been read.

    An Outcome is a file or folder that failed, or one that is passed over: a link that is not
    followed, a video, or what cannot hold a cover. A file that `memory` knows, unchanged in size
    and mtime, is not opened. Files named outright are scanned whatever their extension, and without
    their neighbours; videos too.

    Raises UsageError at once, before the iteration, for paths that cannot be looked at, and
    Interrupted when `checkpoint` says so.
    """
    found = walk(paths, options.exclude, follow_symlinks=options.follow_symlinks)
    return _scan(found, options, memory, checkpoint)


def _scan(
    album_folders: Iterator[AlbumFolder],
    options: ScanOptions,
    memory: ScanMemory,
    checkpoint: Callable[[], None],
) -> Iterator[Album | Outcome]:
    for album_folder in album_folders:
        checkpoint()
        tracks: list[Track] = []
        bare: list[Track] = []
        for folder in album_folder.folders:
            yield from folder.problems
            for found in _look_at(folder, memory, checkpoint):
                if isinstance(found, Outcome):
                    yield found
                elif found.is_video and folder.names is not None:
                    yield _passed_over(found, Reason.VIDEO)
                else:
                    (tracks if holds_covers(found.container) else bare).append(found)
        if options.bare and (not tracks or options.per == "track"):
            tracks += bare
        else:
            yield from (_passed_over(track, Reason.BARE) for track in bare)
        yield from albums_in(album_folder, tracks, per=options.per)


def _passed_over(track: Track, reason: Reason) -> Outcome:
    return Outcome(path=track.path, status=Status.SKIPPED, reason=reason)


def _look_at(
    folder: Folder, memory: ScanMemory, checkpoint: Callable[[], None]
) -> Iterator[Track | Outcome]:
    """Each file of a folder, remembered or read; what was read is remembered, however it ends."""
    known = {} if folder.names is None and not folder.files else memory.recall(folder.path)
    if folder.names is not None:
        memory.forget(*(folder.path / name for name in known.keys() - folder.names))
    unsaved: list[Seen] = []
    try:
        for name, stat in folder.files:
            remembered = known.get(name)
            if remembered is not None and _unchanged(remembered, stat):
                found: Seen | Outcome = remembered
            else:
                checkpoint()
                found = _read(folder.path / name, stat)
                if not isinstance(found, Outcome):
                    unsaved.append(found)
            if len(unsaved) >= _MOST_UNSAVED:
                memory.remember(*unsaved)
                unsaved.clear()
            yield found.outcome() if isinstance(found, Failure) else found
    finally:
        memory.remember(*unsaved)


def _unchanged(seen: Seen, stat: os.stat_result) -> bool:
    return (seen.size, seen.mtime_ns) == (stat.st_size, stat.st_mtime_ns)


def _read(path: Path, stat: os.stat_result) -> Seen | Outcome:
    """A Track, or a Failure to be remembered, or the Outcome of what may be mended meanwhile."""
    try:
        return read_track(path, stat)
    except TagError as error:
        outcome = Outcome.of_error(error)
        if isinstance(error.__cause__, OSError):
            return outcome
        return Failure(
            path=path,
            size=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            reason=outcome.reason,
            message=outcome.message,
        )
