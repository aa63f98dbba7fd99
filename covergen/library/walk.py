"""From paths to album folders: what lies where in a library, found without opening a file."""

import errno
import fnmatch
import os
import re
import stat as modes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter
from pathlib import Path

from covergen.core.errors import UsageError
from covergen.core.reasons import Reason
from covergen.core.types import Outcome, Status
from covergen.library.containers import is_audio_name
from covergen.library.names import COVER_NAMES, IGNORE_FILE, SYSTEM_FOLDERS, disc_number

__all__ = ["AlbumFolder", "Folder", "walk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What lies in one folder, sorted by name.

    `names` is everything in it, or None where it was not looked into. `cover` is a picture under a
    name that servers read.
    """

    path: Path
    names: frozenset[str] | None = None
    files: tuple[tuple[Path, os.stat_result], ...] = ()
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


def walk(paths: Sequence[Path], exclude: Sequence[str]) -> Iterator[AlbumFolder]:
    """Find the audio files in folders, and those named outright, each once.

    Symlinks are followed. `exclude` are globs of names, or of paths relative to the folder given,
    as case-sensitive as the system. Raises UsageError, before anything starts, for paths that
    cannot be looked at.
    """
    kinds = _kinds(paths)
    folders = [path for path, kind in kinds if modes.S_ISDIR(kind)]
    files = [path for path, kind in kinds if modes.S_ISREG(kind)]
    return _Walk(folders, exclude).run(files)


def _kinds(paths: Sequence[Path]) -> list[tuple[Path, int]]:
    kinds, problems = [], []
    for path in paths:
        try:
            kind = path.stat().st_mode
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
            continue
        kinds.append((path, kind))
        if not (modes.S_ISDIR(kind) or modes.S_ISREG(kind)):
            problems.append(f"{path}: neither a file nor a folder")
    if problems:
        raise UsageError("\n".join(problems), hint="give music files, or folders that hold some")
    return kinds


class _Walk:
    """One walk: where it starts, what it passes over, and the folders it has been to.

    All that grows with the library is one number for each folder, so that none is scanned twice.
    """

    def __init__(self, roots: Sequence[Path], exclude: Sequence[str]) -> None:
        globs = (os.path.normcase(glob).rstrip(os.sep) for glob in exclude)
        self._excluded = [re.compile(fnmatch.translate(glob)) for glob in globs]
        self._visited: set[int] = set()
        self._real_roots: list[str] = []
        self._roots = self._outermost(roots)

    def run(self, files: Sequence[Path]) -> Iterator[AlbumFolder]:
        for root in self._roots:
            yield from self._below(root)
        yield from self._named(files)

    def _outermost(self, roots: Sequence[Path]) -> list[str]:
        """The roots that the walk does not come to from another one, in the order given."""
        real = {str(root): os.path.realpath(root) for root in roots}
        kept = set()
        for root in sorted(real, key=lambda root: len(real[root])):
            if not self._comes_to(real[root]):
                self._real_roots.append(real[root])
                kept.add(root)
        return [root for root in real if root in kept]

    def _below(self, root: str) -> Iterator[AlbumFolder]:
        top = len(os.path.join(root, ""))
        pending = [root]  # no recursion: folders can lie deeper than Python's stack
        while pending:
            folder = self._look_into(pending.pop(), top)
            discs, others = [], []
            for path in folder.subfolders:
                if disc_number(os.path.basename(path)):
                    discs.append(self._look_into(path, top))
                else:
                    others.append(path)
            yield _album_folder(folder, discs)
            others += (path for disc in discs for path in disc.subfolders)
            pending += reversed(others)

    def _look_into(self, path: str, top: int) -> Folder:
        """List a folder. `top` is the length of what comes before relative paths."""
        try:
            if not self._first_visit(os.stat(path)):
                return Folder(path=Path(path))
            listing = _listing(path)
        except OSError as error:
            return Folder(path=Path(path), problems=(_problem(path, error),))
        names = frozenset(entry.name for entry in listing)
        if IGNORE_FILE in names:
            return Folder(path=Path(path))
        files, subfolders, problems = [], [], []
        entries = [entry for entry in listing if self._admits(entry.name, entry.path[top:])]
        for entry in entries:
            try:
                if entry.is_dir():
                    if self._belongs_here(entry):
                        subfolders.append(entry.path)
                elif is_audio_name(entry.name) and self._belongs_here(entry):
                    stat = entry.stat()
                    if modes.S_ISREG(stat.st_mode):
                        files.append((Path(entry.path), stat))
            except OSError as error:
                if is_audio_name(entry.name) or error.errno != errno.ELOOP:
                    problems.append(_problem(entry.path, error))
        return Folder(
            path=Path(path),
            names=names,
            files=tuple(files),
            subfolders=tuple(subfolders),
            cover=_cover_among(entries),
            problems=tuple(problems),
        )

    def _named(self, files: Sequence[Path]) -> Iterator[AlbumFolder]:
        """The files named outright that the walk has not come to, by their albums' folders."""
        albums: dict[Path, dict[str, Path]] = {}
        for path in files:
            real = os.path.realpath(path)
            walked = is_audio_name(real) and self._comes_to(real)
            if not walked and not self._excludes(path.name, path.name):
                albums.setdefault(_above_discs(path.parent), {}).setdefault(real, path)
        for above, named in albums.items():
            by_folder: dict[Path, list[Path]] = {}
            for path in sorted(named.values()):
                by_folder.setdefault(path.parent, []).append(path)
            folders = tuple(_folder_of(folder, paths) for folder, paths in by_folder.items())
            yield AlbumFolder(path=above, folders=folders, cover=_cover_in(above), partial=True)

    def _first_visit(self, stat: os.stat_result) -> bool:
        identity = stat.st_dev << 64 | stat.st_ino
        known = identity in self._visited
        self._visited.add(identity)
        return not known

    def _belongs_here(self, entry: os.DirEntry[str]) -> bool:
        """Whether it is no link, or one to where the walk does not come otherwise.

        A link to a folder above a root leads back into it, and is a loop. Raises OSError.
        """
        if not entry.is_symlink():
            return True
        real = os.path.realpath(entry.path)
        if entry.is_dir():
            upwards = any(root.startswith(os.path.join(real, "")) for root in self._real_roots)
            return not upwards and not self._comes_to(real)
        walked = is_audio_name(real) and self._comes_to(real)
        return not walked and self._first_visit(entry.stat())

    def _comes_to(self, real: str) -> bool:
        """Whether this real path lies below a root, with nothing passed over on the way to it."""
        for root in self._real_roots:
            top = os.path.join(root, "")
            parts = real[len(top) :].split(os.sep) if real.startswith(top) else []
            below = bool(parts) and all(map(self._admits, parts, accumulate(parts, os.path.join)))
            if below or real == root:
                return True
        return False

    def _admits(self, name: str, relative: str) -> bool:
        """Whether something of this name, and path relative to its root, is looked at."""
        hidden = name.startswith(".") or name.lower() in SYSTEM_FOLDERS
        return not hidden and not self._excludes(name, relative)

    def _excludes(self, name: str, relative: str) -> bool:
        if not self._excluded:
            return False
        texts = (os.path.normcase(name), os.path.normcase(relative))
        return any(glob.match(text) for glob in self._excluded for text in texts)


def _album_folder(folder: Folder, discs: Sequence[Folder]) -> AlbumFolder:
    above = _above_discs(folder.path)
    inside = above == folder.path  # else the walk began at a disc, and has not seen the others
    return AlbumFolder(
        path=above,
        folders=(folder, *discs),
        cover=folder.cover if inside else _cover_in(above),
        partial=not inside,
    )


def _above_discs(folder: Path) -> Path:
    named = folder if folder.name not in ("", "..") else Path(os.path.abspath(folder))
    return named.parent if disc_number(named.name) else folder


def _folder_of(folder: Path, paths: Sequence[Path]) -> Folder:
    files, problems = [], []
    for path in paths:
        try:
            files.append((path, path.stat()))
        except OSError as error:
            problems.append(_problem(path, error))
    return Folder(
        path=folder, files=tuple(files), cover=_cover_in(folder), problems=tuple(problems)
    )


def _listing(folder: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(str(folder)) as entries:
        return sorted(entries, key=attrgetter("name"))


def _cover_in(folder: Path) -> Path | None:
    try:
        return _cover_among(_listing(folder))
    except OSError:
        return None


def _cover_among(entries: Iterable[os.DirEntry[str]]) -> Path | None:
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


def _problem(path: str | Path, error: OSError) -> Outcome:
    return Outcome(
        path=Path(path),
        status=Status.FAILED,
        reason=Reason.UNREADABLE,
        message=error.strerror or str(error),
    )
