"""Scan folders for albums, as a stream, so that memory use does not grow with the library."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from covergen.core.album import Album, Outcome, Track
from covergen.core.errors import TagError
from covergen.core.reasons import Reason
from covergen.library.containers import holds_covers
from covergen.library.read_track import read_track
from covergen.library.scanning.album_folder import AlbumFolder, Folder
from covergen.library.scanning.cover_files import is_picture, with_cover_files
from covergen.library.scanning.cover_globs import CoverGlobs
from covergen.library.scanning.group_albums import albums_in
from covergen.library.scanning.known_names import COVER_NAMES
from covergen.library.scanning.scan_cache import Failure, PictureFile, ScanCache, Seen
from covergen.library.scanning.walk import walk

_MAX_UNSAVED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """What to scan, and how to group tracks into albums.

    `exclude`: globs of names, or of paths relative to the given folder. `follow_symlinks`: follow
    links that lead out of the given folders. `per`: group tracks by their tags, or make each track
    an album. `cover_names`: globs of cover files, as in `CoverGlobs`. `bare`: include files that
    cannot hold a cover, unless they are next to files that can and `per` is "album".
    """

    exclude: tuple[str, ...] = ()
    follow_symlinks: bool = False
    per: Literal["album", "track"] = "album"
    cover_names: tuple[str, ...] = COVER_NAMES
    bare: bool = False


def scan(
    paths: Sequence[Path],
    options: ScanOptions,
    scan_cache: ScanCache,
    *,
    check_interrupted: Callable[[], None],
) -> Iterator[Album | Outcome]:
    """Yield the albums in folders and files, each as soon as its folder and discs have been read.

    Yields an Outcome for each file or folder that failed or was skipped: excluded by an ignore
    file, a link that is not followed, a video, or a file that cannot hold a cover. Files in
    `scan_cache` whose size and mtime are unchanged are not opened. Files given explicitly are
    scanned whatever their extension, without the others in their folder; videos too.

    Raises UsageError immediately, before iteration, for paths that cannot be read, and Interrupted
    when `check_interrupted` does.
    """
    globs = CoverGlobs(options.cover_names)
    found = walk(paths, options.exclude, globs, follow_symlinks=options.follow_symlinks)
    return _scan(found, options, globs, scan_cache, check_interrupted)


def path_below(track: Path, paths: Sequence[Path]) -> Path:
    """Return a track's path relative to the innermost of the folders that were scanned.

    It is the track's name if the track itself was given.
    """
    roots = [path for path in paths if path != track and track.is_relative_to(path)]
    return track.relative_to(max(roots, key=lambda root: len(root.parts), default=track.parent))


def _scan(
    album_folders: Iterator[AlbumFolder],
    options: ScanOptions,
    globs: CoverGlobs,
    scan_cache: ScanCache,
    check_interrupted: Callable[[], None],
) -> Iterator[Album | Outcome]:
    for album_folder in album_folders:
        check_interrupted()
        reader = _FolderReader(scan_cache, check_interrupted)
        tracks: list[Track] = []
        bare: list[Track] = []
        for folder in album_folder.folders:
            yield from folder.problems
            for found in reader.at_files(folder):
                if isinstance(found, Outcome):
                    yield found
                elif found.is_video and folder.names is not None:
                    yield Outcome.skipped(found.path, Reason.VIDEO)
                else:
                    (tracks if holds_covers(found.container) else bare).append(found)
        if options.bare and (not tracks or options.per == "track"):
            tracks += bare
        else:
            yield from (Outcome.skipped(track.path, Reason.BARE) for track in bare)
        albums = albums_in(album_folder, tracks, per=options.per)
        albums = list(with_cover_files(albums, album_folder, globs, reader.is_picture))
        reader.remember_pictures()
        yield from albums


class _FolderReader:
    """Reads the files of one album folder, from the scan cache if they are unchanged."""

    def __init__(self, scan_cache: ScanCache, check_interrupted: Callable[[], None]) -> None:
        self._scan_cache = scan_cache
        self._checkpoint = check_interrupted
        self._known: dict[Path, dict[str, Seen]] = {}
        self._new_pictures: list[PictureFile] = []

    def at_files(self, folder: Folder) -> Iterator[Track | Outcome]:
        """Yield each file of a folder; cache what was read, even if iteration stops early."""
        known = {} if folder.names is None and not folder.files else self._recall(folder.path)
        if folder.names is not None:
            deleted = known.keys() - folder.names
            self._scan_cache.forget(*(folder.path / name for name in deleted))
        unsaved: list[Seen] = []
        try:
            for name, stat in folder.files:
                found = known.get(name)
                if found is None or isinstance(found, PictureFile) or not _unchanged(found, stat):
                    self._checkpoint()
                    read = _read(folder.path / name, stat)
                    if isinstance(read, Outcome):
                        yield read
                        continue
                    found = read
                    unsaved.append(found)
                if len(unsaved) >= _MAX_UNSAVED:
                    self._scan_cache.remember(*unsaved)
                    unsaved.clear()
                yield found.outcome() if isinstance(found, Failure) else found
        finally:
            self._scan_cache.remember(*unsaved)

    def is_picture(self, folder: Path, name: str) -> bool | None:
        """Whether the named file in or below a folder is a picture; None if it is not a file."""
        try:
            stat = os.stat(f"{folder}{os.sep}{name}")  # noqa: PTH116 - a Path is too slow here
        except OSError:
            return None
        inner, _, file_name = name.rpartition("/")
        known = self._recall(folder / inner if inner else folder).get(file_name)
        if isinstance(known, PictureFile) and _unchanged(known, stat):
            return known.is_image
        path = folder / name
        try:
            is_image = is_picture(path)
        except OSError:
            return True  # unreadable, but it may well be a cover
        if is_image is not None:
            size, mtime_ns = stat.st_size, stat.st_mtime_ns
            seen = PictureFile(path=path, size=size, mtime_ns=mtime_ns, is_image=is_image)
            self._new_pictures.append(seen)
        return is_image

    def remember_pictures(self) -> None:
        """Cache the results for cover files in one transaction."""
        self._scan_cache.remember(*self._new_pictures)
        self._new_pictures.clear()

    def _recall(self, folder: Path) -> dict[str, Seen]:
        if folder not in self._known:
            self._known[folder] = self._scan_cache.recall(folder)
        return self._known[folder]


def _unchanged(seen: Seen, stat: os.stat_result) -> bool:
    return (seen.size, seen.mtime_ns) == (stat.st_size, stat.st_mtime_ns)


def _read(path: Path, stat: os.stat_result) -> Track | Failure | Outcome:
    """Return a Track, a Failure to cache, or an Outcome for an error that may be temporary."""
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
