"""The contents of a single folder."""

import os
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from covergen.core.album import Outcome
from covergen.core.reasons import Reason
from covergen.library.containers import is_audio_name, is_bare_name
from covergen.library.scanning.cover_globs import CoverGlobs
from covergen.library.scanning.known_names import disc_number, is_picture_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The relevant contents of a folder, sorted by name.

    `names` are all names in it, or None if it was not listed. `pictures` are the names of its
    picture files, including those in artwork sub-folders ("scans/front.jpg"). `problems` are
    entries that cannot be read or that an ignore file excludes.
    """

    path: Path
    names: frozenset[str] | None = None
    files: tuple[tuple[str, os.stat_result], ...] = ()
    subfolders: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    problems: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlbumFolder:
    """A folder with its disc sub-folders: tracks within it can share an album.

    `path` is the folder above the disc folders, and `pictures` are the pictures in it. `partial`:
    it may contain audio files outside the paths given.
    """

    path: Path
    folders: tuple[Folder, ...]
    pictures: tuple[str, ...] = ()
    partial: bool = False


def above_discs(folder: Path) -> Path:
    """Return the parent of a disc folder, or the folder itself if it is not one."""
    named = folder if folder.name not in ("", "..") else folder.resolve()
    return named.parent if disc_number(named.name) else folder


def listing(folder: Path) -> list[os.DirEntry[str]]:
    """List a folder, sorted by name. Raises OSError."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=attrgetter("name"))


def pictures_in(folder: Path, globs: CoverGlobs) -> tuple[str, ...]:
    """Return the pictures in a folder and its artwork sub-folders; none if it is unreadable."""
    try:
        entries = listing(folder)
        pictures = [entry.name for entry in entries if is_picture_name(entry.name)]
        for entry in entries:
            if globs.is_art_folder(entry.name) and entry.is_dir():
                pictures += art_in(entry)
    except OSError:
        return ()
    return tuple(pictures)


def art_in(entry: os.DirEntry[str]) -> list[str]:
    """Return the picture files in an artwork sub-folder; none if it also contains music."""
    try:
        names = [inner.name for inner in listing(Path(entry.path))]
    except OSError:
        return []
    if any(is_audio_name(name) or is_bare_name(name) for name in names):
        return []
    visible = (name for name in names if is_picture_name(name) and not name.startswith("."))
    return [f"{entry.name}/{name}" for name in visible]


def problem(path: Path, error: OSError) -> Outcome:
    """Return a failed outcome with the system's error message."""
    return Outcome.failed(path, Reason.UNREADABLE, error.strerror or str(error))
