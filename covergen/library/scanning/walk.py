"""Walk folders to find audio and picture files, without opening them."""

import errno
import fnmatch
import os
import re
import stat as modes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path

from covergen.core.album import Outcome
from covergen.core.errors import UsageError
from covergen.core.reasons import Reason
from covergen.library.containers import is_audio_name, is_bare_name
from covergen.library.scanning.album_folder import (
    AlbumFolder,
    Folder,
    above_discs,
    art_in,
    listing,
    pictures_in,
    problem,
)
from covergen.library.scanning.cover_globs import CoverGlobs
from covergen.library.scanning.ignore_files import HiddenError, IgnoreRules
from covergen.library.scanning.known_names import SYSTEM_FOLDERS, disc_number, is_picture_name


def walk(
    paths: Sequence[Path],
    exclude: Sequence[str],
    cover_globs: CoverGlobs,
    *,
    follow_symlinks: bool = False,
) -> Iterator[AlbumFolder]:
    """Find the audio files in the given folders, and those given explicitly, each once.

    Paths given explicitly may be links. Links inside folders are followed if they lead to within
    the given folders, or with `follow_symlinks`; others are reported as problems. `exclude` are
    globs of names, or of paths relative to the given folder, as case-sensitive as the system. Files
    and folders that an ignore file excludes are reported as problems too. Raises UsageError
    immediately for paths that cannot be read.
    """
    kinds = _kinds(paths)
    folders = [path for path, kind in kinds if modes.S_ISDIR(kind)]
    files = [path for path, kind in kinds if modes.S_ISREG(kind)]
    return _Walk(folders, exclude, cover_globs, follow_symlinks=follow_symlinks).run(files)


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
            problems.append(f"{path}: not a file or folder")
    if problems:
        raise UsageError("\n".join(problems), hint="give music files or folders that contain them")
    return kinds


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder to list. `trail` is its path relative to the root, with a trailing separator.

    `rules` are those of the ignore files above it.
    """

    path: Path
    trail: str = ""
    rules: IgnoreRules = field(default_factory=IgnoreRules)

    def below(self, folder: Folder, rules: IgnoreRules) -> list["_Place"]:
        """Return the sub-folders of this one, to which `rules` apply."""
        return [
            _Place(self.path / name, f"{self.trail}{name}{os.sep}", rules)
            for name in folder.subfolders
        ]


class _Walk:
    """The state of one walk: its roots, exclusions and visited folders.

    Memory grows by one number per folder, kept so that no folder is scanned twice.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        exclude: Sequence[str],
        cover_globs: CoverGlobs,
        *,
        follow_symlinks: bool,
    ) -> None:
        self._follow_symlinks = follow_symlinks
        self._cover_globs = cover_globs
        globs = (os.path.normcase(glob).rstrip(os.sep) for glob in exclude)
        self._excluded = [re.compile(fnmatch.translate(glob)) for glob in globs]
        self._visited: set[int] = set()
        self._real_roots: list[Path] = []
        self._roots = self._outermost(roots)

    def run(self, files: Sequence[Path]) -> Iterator[AlbumFolder]:
        for root in self._roots:
            yield from self._walk_root(root)
        yield from self._explicit_files(files)

    def _outermost(self, roots: Sequence[Path]) -> list[Path]:
        """Return the roots that are not reached from another root, in the given order."""
        real = {root: root.resolve() for root in roots}
        kept = set()
        for root in sorted(real, key=lambda root: len(real[root].parts)):
            if not self._reaches(real[root]):
                self._real_roots.append(real[root])
                kept.add(root)
        return [root for root in real if root in kept]

    def _walk_root(self, root: Path) -> Iterator[AlbumFolder]:
        pending = [_Place(root)]  # no recursion: folders can be nested deeper than Python's stack
        while pending:
            place = pending.pop()
            folder, rules = self._list(place)
            discs, others = [], []
            for inner in place.below(folder, rules):
                if disc_number(inner.path.name):
                    disc, rules_of_disc = self._list(inner)
                    discs.append(disc)
                    others += inner.below(disc, rules_of_disc)
                else:
                    others.append(inner)
            yield self._album_folder(folder, discs)
            pending += reversed(others)

    def _list(self, place: _Place) -> tuple[Folder, IgnoreRules]:
        """List a folder. Returns its contents and the ignore rules that apply to it."""
        path, trail = place.path, place.trail
        try:
            if not self._first_visit(path.stat()):
                return Folder(path=path), place.rules
            everything = listing(path)
            names = frozenset(entry.name for entry in everything)
            rules = place.rules.within(path, trail, names)
        except OSError as error:
            return Folder(path=path, problems=(problem(path, error),)), place.rules
        except HiddenError as error:
            return Folder(
                path=path, problems=(Outcome.skipped(path, Reason.IGNORED, str(error)),)
            ), place.rules
        return self._classify(everything, names, replace(place, rules=rules)), rules

    def _classify(
        self, entries: Iterable[os.DirEntry[str]], names: frozenset[str], place: _Place
    ) -> Folder:
        """Sort a folder's entries by kind, applying `place.rules`."""
        files, subfolders, problems, pictures = [], [], [], []
        for entry in entries:
            name, relative = entry.name, place.trail + entry.name
            if not self._includes(name, relative):
                continue
            is_music = _is_music_name(name)
            if is_picture_name(name):
                pictures.append(name)
            try:
                is_folder, leads_out = entry.is_dir(), self._leads_out(entry)
                if is_folder and not leads_out and self._cover_globs.is_art_folder(name):
                    pictures += art_in(entry)
                if not (is_folder or is_music):
                    continue
                if ignoring := place.rules.ignoring(relative, is_folder=is_folder):
                    why = f"excluded by {ignoring}"
                    problems.append(Outcome.skipped(place.path / name, Reason.IGNORED, why))
                elif leads_out:
                    problems.append(_outside(place.path / name))
                elif not self._should_follow(entry):
                    continue
                elif is_folder:
                    subfolders.append(name)
                elif modes.S_ISREG((stat := entry.stat()).st_mode):
                    files.append((name, stat))
            except OSError as error:
                if is_music or error.errno != errno.ELOOP:
                    problems.append(problem(place.path / name, error))
        return Folder(
            path=place.path,
            names=names,
            files=tuple(files),
            subfolders=tuple(subfolders),
            pictures=tuple(pictures),
            problems=tuple(problems),
        )

    def _explicit_files(self, files: Sequence[Path]) -> Iterator[AlbumFolder]:
        """Yield the files given explicitly that the walk did not reach, by album folder."""
        albums: dict[Path, dict[Path, Path]] = {}
        for path in files:
            real = path.resolve()
            walked = _is_music_name(real.name) and self._reaches(real)
            if not walked and not self._excludes(path.name, path.name):
                albums.setdefault(above_discs(path.parent), {}).setdefault(real, path)
        for above, named in albums.items():
            by_folder: dict[Path, list[Path]] = {}
            for path in sorted(named.values()):
                by_folder.setdefault(path.parent, []).append(path)
            folders = tuple(self._folder_of(folder, paths) for folder, paths in by_folder.items())
            pictures = pictures_in(above, self._cover_globs)
            yield AlbumFolder(path=above, folders=folders, pictures=pictures, partial=True)

    def _album_folder(self, folder: Folder, discs: Sequence[Folder]) -> AlbumFolder:
        above = above_discs(folder.path)
        inside = above == folder.path  # otherwise the walk began at a disc folder
        return AlbumFolder(
            path=above,
            folders=(folder, *discs),
            pictures=folder.pictures if inside else pictures_in(above, self._cover_globs),
            partial=not inside,
        )

    def _folder_of(self, folder: Path, paths: Sequence[Path]) -> Folder:
        """Return a folder with only the given files."""
        files, problems = [], []
        for path in paths:
            try:
                files.append((path.name, path.stat()))
            except OSError as error:
                problems.append(problem(path, error))
        return Folder(
            path=folder,
            files=tuple(files),
            pictures=pictures_in(folder, self._cover_globs),
            problems=tuple(problems),
        )

    def _first_visit(self, stat: os.stat_result) -> bool:
        identity = stat.st_dev << 64 | stat.st_ino
        known = identity in self._visited
        self._visited.add(identity)
        return not known

    def _leads_out(self, entry: os.DirEntry[str]) -> bool:
        """Whether it is a link that leads out of all roots and must not be followed."""
        if self._follow_symlinks or not entry.is_symlink():
            return False
        real = Path(os.path.realpath(entry.path))
        roots = self._real_roots
        return not any(real.is_relative_to(root) or root.is_relative_to(real) for root in roots)

    def _should_follow(self, entry: os.DirEntry[str]) -> bool:
        """Whether it is not a link, or a link to something that the walk does not reach otherwise.

        A link to a folder above a root would be a loop. Raises OSError.
        """
        if not entry.is_symlink():
            return True
        real = Path(entry.path).resolve()
        if entry.is_dir():
            upwards = any(root.is_relative_to(real) for root in self._real_roots)
            return not upwards and not self._reaches(real)
        walked = _is_music_name(real.name) and self._reaches(real)
        return not walked and self._first_visit(entry.stat())

    def _reaches(self, real: Path) -> bool:
        """Whether the walk reaches this real path from a root, without exclusions on the way."""
        for root in self._real_roots:
            if real.is_relative_to(root):
                parts = real.relative_to(root).parts
                trails = accumulate(parts, lambda trail, name: f"{trail}{os.sep}{name}")
                if all(map(self._includes, parts, trails)):
                    return True
        return False

    def _includes(self, name: str, relative: str) -> bool:
        """Whether an entry, at `relative` below its root, is neither hidden nor excluded."""
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
    message = f"link to {os.path.realpath(link)}: use --follow-symlinks to include it"
    return Outcome.skipped(link, Reason.OUTSIDE, message)
