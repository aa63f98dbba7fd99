"""Files that tell programs what to pass over in a library.

A `.nomedia` hides its folder, whatever it holds: Android itself writes the folder's path into it.
The others hold patterns as `.gitignore` does, of what lies below them; one without any hides its
folder. Sources: Android, MediaStore.MEDIA_IGNORE_FILENAME; Navidrome, scanner/ignore_checker.go;
Jellyfin, "Excluding directories"; Plex, "Excluding files", whose wildcards also match separators.
"""

import re
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore import GitIgnorePatternError

__all__ = ["IGNORE_FILE", "HiddenError", "IgnoreRules"]

IGNORE_FILE = ".ndignore"
"""What covergen itself hides a folder with."""

_MARK = ".nomedia"
_PATTERNS = (IGNORE_FILE, ".ignore", ".plexignore")
_ONLY_PATTERNS = ".plexignore"  # for Plex, comments alone hide nothing

_MOST_BYTES = 1 << 20
_MOST_WILDCARDS = 3  # in one name: with more, a long name can keep a regular expression for years
_WILDCARDS = re.compile(r"\*+")


class HiddenError(Exception):
    """A folder is passed over with all that lies in it; the message says why."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """An ignore file, how much of a path is that of its folder, and its patterns."""

    file: Path
    prefix: int
    patterns: GitIgnoreSpec


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The patterns of the ignore files from a walk's root down to a folder."""

    _layers: tuple[_Layer, ...] = ()

    def within(self, folder: Path, trail: str, names: Collection[str]) -> "IgnoreRules":
        """These and those of a folder that has files of these `names`.

        `trail` is its path relative to the root, with a separator at the end. Raises HiddenError
        where the folder is hidden; also where nobody can tell, since a file there is unreadable.
        """
        if _MARK in names and (folder / _MARK).is_file():
            raise HiddenError(f"a {_MARK} lies in it")
        layers = list(self._layers)
        for name in _PATTERNS:
            if name in names and (folder / name).is_file():
                patterns = _read(folder / name)
                if patterns is not None:
                    layers.append(_Layer(folder / name, len(trail), patterns))
        return IgnoreRules(tuple(layers)) if len(layers) > len(self._layers) else self

    def ignoring(self, relative: str, *, is_folder: bool) -> Path | None:
        """The ignore file because of which a path, relative to the root, is passed over, if any."""
        for layer in reversed(self._layers):
            path = relative[layer.prefix :] + ("/" if is_folder else "")
            ignored = layer.patterns.check_file(path).include
            if ignored is not None:
                return layer.file if ignored else None
        return None


def _read(file: Path) -> GitIgnoreSpec | None:
    """The patterns in an ignore file, or None if it says nothing. Raises HiddenError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise HiddenError(f"its {file.name} cannot be read: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise HiddenError(f"its {file.name} is larger than such files are")
    text = data.decode("utf-8-sig", "surrogateescape")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        if file.name == _ONLY_PATTERNS and text.strip():
            return None
        raise HiddenError(f"its {file.name} is empty")
    for line in lines:
        parts = (part for part in line.split("/") if part != "**")
        most = max(line.split("/").count("**"), *(len(_WILDCARDS.findall(p)) for p in parts), 0)
        if most > _MOST_WILDCARDS:
            raise HiddenError(f"its {file.name} has a pattern of too many wildcards: {line}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of what a "[[" may mean some day
            return GitIgnoreSpec.from_lines(lines)
    except (GitIgnorePatternError, re.error) as error:
        raise HiddenError(f"its {file.name} cannot be understood: {error}") from error
