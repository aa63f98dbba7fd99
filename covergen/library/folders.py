"""One folder: what lies in it, what its names mean, and whether a cover file is among it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from covergen.core.reasons import Reason
from covergen.core.types import Outcome, Status
from covergen.library.names import COVER_NAMES, disc_number

__all__ = [
    "AlbumFolder",
    "Folder",
    "above_discs",
    "cover_among",
    "cover_in",
    "listing",
    "problem",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What matters in one folder, sorted by name.

    `names` is everything in it, or None where it was not looked into. `cover` is a picture under a
    name that servers read. `problems` are what could not be looked at.
    """

    path: Path
    names: frozenset[str] | None = None
    files: tuple[tuple[str, os.stat_result], ...] = ()
    subfolders: tuple[str, ...] = ()
    cover: Path | None = None
    problems: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlbumFolder:
    """A folder with its disc sub-folders: the place within which tracks can share an album.

    `path` is above the disc folders, and `cover` lies there. `partial`: there may be other audio
    files that were not asked for.
    """

    path: Path
    folders: tuple[Folder, ...]
    cover: Path | None = None
    partial: bool = False


def above_discs(folder: Path) -> Path:
    """The parent of a disc's folder; any other folder itself."""
    named = folder if folder.name not in ("", "..") else folder.resolve()
    return named.parent if disc_number(named.name) else folder


def listing(folder: Path) -> list[os.DirEntry[str]]:
    """Everything in a folder, sorted by name. Raises OSError."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=attrgetter("name"))


def cover_in(folder: Path) -> Path | None:
    """The cover file of a folder, or None, also where the folder cannot be read."""
    try:
        return cover_among(listing(folder))
    except OSError:
        return None


def cover_among(entries: Iterable[os.DirEntry[str]]) -> Path | None:
    """The first by COVER_NAMES that is a file with something in it, or None."""
    by_name = {entry.name.lower(): entry for entry in entries}
    for name in COVER_NAMES:
        if name in by_name and _has_content(by_name[name]):
            return Path(by_name[name].path)
    return None


def _has_content(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file() and entry.stat().st_size > 0
    except OSError:
        return False


def problem(path: Path, error: OSError) -> Outcome:
    """The outcome of what the system would not let be looked at, in the system's words."""
    return Outcome(
        path=path,
        status=Status.FAILED,
        reason=Reason.UNREADABLE,
        message=error.strerror or str(error),
    )
