"""One folder: what lies in it, and what its names mean."""

import os
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from covergen.core.reasons import Reason
from covergen.core.types import Outcome, Status
from covergen.library.containers import is_audio_name
from covergen.library.scanning.cover_names import CoverNames
from covergen.library.scanning.folder_names import disc_number, is_picture_name

__all__ = [
    "AlbumFolder",
    "Folder",
    "above_discs",
    "art_in",
    "listing",
    "pictures_in",
    "problem",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What matters in one folder, sorted by name.

    `names` is everything in it, or None where it was not looked into. `pictures` are the names of
    picture files in it, and, as "scans/front.jpg", in its sub-folders for art. `problems` are what
    could not be looked at, or was passed over because of an ignore file.
    """

    path: Path
    names: frozenset[str] | None = None
    files: tuple[tuple[str, os.stat_result], ...] = ()
    subfolders: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    problems: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlbumFolder:
    """A folder with its disc sub-folders: the place within which tracks can share an album.

    `path` is above the disc folders, and `pictures` are those there. `partial`: there may be other
    audio files that were not asked for.
    """

    path: Path
    folders: tuple[Folder, ...]
    pictures: tuple[str, ...] = ()
    partial: bool = False


def above_discs(folder: Path) -> Path:
    """The parent of a disc's folder; any other folder itself."""
    named = folder if folder.name not in ("", "..") else folder.resolve()
    return named.parent if disc_number(named.name) else folder


def listing(folder: Path) -> list[os.DirEntry[str]]:
    """Everything in a folder, sorted by name. Raises OSError."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=attrgetter("name"))


def pictures_in(folder: Path, names: CoverNames) -> tuple[str, ...]:
    """The picture files of a folder and its sub-folders for art; none if it cannot be read."""
    try:
        entries = listing(folder)
        pictures = [entry.name for entry in entries if is_picture_name(entry.name)]
        for entry in entries:
            if names.is_art_folder(entry.name) and entry.is_dir():
                pictures += art_in(entry)
    except OSError:
        return ()
    return tuple(pictures)


def art_in(entry: os.DirEntry[str]) -> list[str]:
    """The picture files in a sub-folder for art; none where music lies in it, whose they are."""
    try:
        names = [inner.name for inner in listing(Path(entry.path))]
    except OSError:
        return []
    if any(map(is_audio_name, names)):
        return []
    shown = (name for name in names if is_picture_name(name) and not name.startswith("."))
    return [f"{entry.name}/{name}" for name in shown]


def problem(path: Path, error: OSError) -> Outcome:
    """The outcome of what the system would not let be looked at, in the system's words."""
    return Outcome(
        path=path,
        status=Status.FAILED,
        reason=Reason.UNREADABLE,
        message=error.strerror or str(error),
    )
