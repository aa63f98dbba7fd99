"""From paths to album folders: what lies where in a library, found without opening a file."""

import errno
import fnmatch
import os
import re
import stat as modes
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from covergen.core.errors import UsageError
from covergen.core.reasons import Reason
from covergen.core.types import Outcome, Status
from covergen.library.containers import is_audio_name, is_bare_name
from covergen.library.folders import (
    AlbumFolder,
    Folder,
    above_discs,
    cover_among,
    cover_in,
    listing,
    problem,
)
from covergen.library.names import IGNORE_FILE, SYSTEM_FOLDERS, disc_number

__all__ = ["walk"]


def walk(
    paths: Sequence[Path], exclude: Sequence[str], *, follow_symlinks: bool = False
) -> Iterator[AlbumFolder]:
    """Find the audio files in folders, and those named outright, each once.

    What is named outright may be a link. Links in folders are followed within the folders given,
    and out of them with `follow_symlinks`; else each is a problem. `exclude` are globs of names, or
    of paths relative to the folder given, as case-sensitive as the system. Raises UsageError,
    before anything starts, for paths that cannot be looked at.
    """
    kinds = _kinds(paths)
    folders = [path for path, kind in kinds if modes.S_ISDIR(kind)]
    files = [path for path, kind in kinds if modes.S_ISREG(kind)]
    return _Walk(folders, exclude, follow_symlinks=follow_symlinks).run(files)


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

    def __init__(
        self, roots: Sequence[Path], exclude: Sequence[str], *, follow_symlinks: bool
    ) -> None:
        self._follow_symlinks = follow_symlinks
        globs = (os.path.normcase(glob).rstrip(os.sep) for glob in exclude)
        self._excluded = [re.compile(fnmatch.translate(glob)) for glob in globs]
        self._visited: set[int] = set()
        self._real_roots: list[Path] = []
        self._roots = self._outermost(roots)

    def run(self, files: Sequence[Path]) -> Iterator[AlbumFolder]:
        for root in self._roots:
            yield from self._below(root)
        yield from self._named(files)

    def _outermost(self, roots: Sequence[Path]) -> list[Path]:
        """The roots that the walk does not come to from another one, in the order given."""
        real = {root: root.resolve() for root in roots}
        kept = set()
        for root in sorted(real, key=lambda root: len(real[root].parts)):
            if not self._comes_to(real[root]):
                self._real_roots.append(real[root])
                kept.add(root)
        return [root for root in real if root in kept]

    def _below(self, root: Path) -> Iterator[AlbumFolder]:
        pending = [(root, "")]  # no recursion: folders can lie deeper than Python's stack
        while pending:
            path, trail = pending.pop()
            folder = self._look_into(path, trail)
            discs, others = [], []
            for name in folder.subfolders:
                place = (path / name, f"{trail}{name}{os.sep}")
                if disc_number(name):
                    disc = self._look_into(*place)
                    discs.append(disc)
                    others += [
                        (disc.path / name, f"{place[1]}{name}{os.sep}") for name in disc.subfolders
                    ]
                else:
                    others.append(place)
            yield _album_folder(folder, discs)
            pending += reversed(others)

    def _look_into(self, path: Path, trail: str) -> Folder:
        """List a folder. `trail` is its path relative to the root, with a separator at the end."""
        try:
            if not self._first_visit(path.stat()):
                return Folder(path=path)
            everything = listing(path)
        except OSError as error:
            return Folder(path=path, problems=(problem(path, error),))
        names = frozenset(entry.name for entry in everything)
        if IGNORE_FILE in names:
            return Folder(path=path)
        files, subfolders, problems = [], [], []
        entries = [entry for entry in everything if self._admits(entry.name, trail + entry.name)]
        for entry in entries:
            try:
                if self._leads_out(entry):
                    if entry.is_dir() or _is_music_name(entry.name):
                        problems.append(_outside(path / entry.name))
                elif entry.is_dir():
                    if self._belongs_here(entry):
                        subfolders.append(entry.name)
                elif _is_music_name(entry.name) and self._belongs_here(entry):
                    stat = entry.stat()
                    if modes.S_ISREG(stat.st_mode):
                        files.append((entry.name, stat))
            except OSError as error:
                if _is_music_name(entry.name) or error.errno != errno.ELOOP:
                    problems.append(problem(path / entry.name, error))
        return Folder(
            path=path,
            names=names,
            files=tuple(files),
            subfolders=tuple(subfolders),
            cover=cover_among(entries),
            problems=tuple(problems),
        )

    def _named(self, files: Sequence[Path]) -> Iterator[AlbumFolder]:
        """The files named outright that the walk has not come to, by their albums' folders."""
        albums: dict[Path, dict[Path, Path]] = {}
        for path in files:
            real = path.resolve()
            walked = _is_music_name(real.name) and self._comes_to(real)
            if not walked and not self._excludes(path.name, path.name):
                albums.setdefault(above_discs(path.parent), {}).setdefault(real, path)
        for above, named in albums.items():
            by_folder: dict[Path, list[Path]] = {}
            for path in sorted(named.values()):
                by_folder.setdefault(path.parent, []).append(path)
            folders = tuple(_folder_of(folder, paths) for folder, paths in by_folder.items())
            yield AlbumFolder(path=above, folders=folders, cover=cover_in(above), partial=True)

    def _first_visit(self, stat: os.stat_result) -> bool:
        identity = stat.st_dev << 64 | stat.st_ino
        known = identity in self._visited
        self._visited.add(identity)
        return not known

    def _leads_out(self, entry: os.DirEntry[str]) -> bool:
        """Whether it is a link to neither below nor above a root, and such are not followed."""
        if self._follow_symlinks or not entry.is_symlink():
            return False
        real = Path(os.path.realpath(entry.path))
        roots = self._real_roots
        return not any(real.is_relative_to(root) or root.is_relative_to(real) for root in roots)

    def _belongs_here(self, entry: os.DirEntry[str]) -> bool:
        """Whether it is no link, or one to where the walk does not come otherwise.

        A link to a folder above a root leads back into it, and is a loop. Raises OSError.
        """
        if not entry.is_symlink():
            return True
        real = Path(entry.path).resolve()
        if entry.is_dir():
            upwards = any(root.is_relative_to(real) for root in self._real_roots)
            return not upwards and not self._comes_to(real)
        walked = _is_music_name(real.name) and self._comes_to(real)
        return not walked and self._first_visit(entry.stat())

    def _comes_to(self, real: Path) -> bool:
        """Whether this real path lies below a root, with nothing passed over on the way to it."""
        for root in self._real_roots:
            if real.is_relative_to(root):
                parts = real.relative_to(root).parts
                trails = accumulate(parts, lambda trail, name: f"{trail}{os.sep}{name}")
                if all(map(self._admits, parts, trails)):
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


def _is_music_name(name: str) -> bool:
    return is_audio_name(name) or is_bare_name(name)


def _outside(link: Path) -> Outcome:
    message = f"a link to {os.path.realpath(link)}: --follow-symlinks goes there"
    return Outcome(path=link, status=Status.SKIPPED, reason=Reason.OUTSIDE, message=message)


def _album_folder(folder: Folder, discs: Sequence[Folder]) -> AlbumFolder:
    above = above_discs(folder.path)
    inside = above == folder.path  # else the walk began at a disc, and has not seen the others
    return AlbumFolder(
        path=above,
        folders=(folder, *discs),
        cover=folder.cover if inside else cover_in(above),
        partial=not inside,
    )


def _folder_of(folder: Path, paths: Sequence[Path]) -> Folder:
    """A folder of which only some files are looked at."""
    files, problems = [], []
    for path in paths:
        try:
            files.append((path.name, path.stat()))
        except OSError as error:
            problems.append(problem(path, error))
    return Folder(path=folder, files=tuple(files), cover=cover_in(folder), problems=tuple(problems))
