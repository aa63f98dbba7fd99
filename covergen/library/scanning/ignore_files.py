"""Ignore files, which exclude parts of a library from scans.

A `.nomedia` file excludes its folder, whatever its content. The others contain patterns like
`.gitignore`; one without patterns excludes its folder. Sources: Android,
MediaStore.MEDIA_IGNORE_FILENAME; Navidrome, scanner/ignore_checker.go; Jellyfin, "Excluding
directories"; Plex, "Excluding files", whose wildcards also match separators.
"""

import re
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore import GitIgnorePatternError

IGNORE_FILE = ".ndignore"
"""The ignore file that covergen writes into its own folders."""

_MARK = ".nomedia"
_PATTERNS = (IGNORE_FILE, ".ignore", ".plexignore")
_ONLY_PATTERNS = ".plexignore"  # in Plex, a file with only comments excludes nothing

_MAX_BYTES = 1 << 20
_MAX_WILDCARDS = 3  # per path component: more can make a regular expression take forever
_WILDCARDS = re.compile(r"\*+")


class HiddenError(Exception):
    """An ignore file excludes a whole folder; the message says why."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """An ignore file, the length of its folder's path relative to the root, and its patterns."""

    file: Path
    prefix: int
    patterns: GitIgnoreSpec


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The patterns of all ignore files from a walk's root down to a folder."""

    _layers: tuple[_Layer, ...] = ()

    def within(self, folder: Path, trail: str, names: Collection[str]) -> "IgnoreRules":
        """Add the rules of the ignore files in a folder with files of these `names`.

        `trail` is the folder's path relative to the root, with a trailing separator. Raises
        HiddenError if the folder is excluded or an ignore file in it cannot be read.
        """
        if _MARK in names and (folder / _MARK).is_file():
            raise HiddenError(f"it contains a {_MARK} file")
        layers = list(self._layers)
        for name in _PATTERNS:
            if name in names and (folder / name).is_file():
                patterns = _read(folder / name)
                if patterns is not None:
                    layers.append(_Layer(folder / name, len(trail), patterns))
        return IgnoreRules(tuple(layers)) if len(layers) > len(self._layers) else self

    def ignoring(self, relative: str, *, is_folder: bool) -> Path | None:
        """Return the ignore file that excludes a path relative to the root, or None."""
        for layer in reversed(self._layers):
            path = relative[layer.prefix :] + ("/" if is_folder else "")
            ignored = layer.patterns.check_file(path).include
            if ignored is not None:
                return layer.file if ignored else None
        return None


def _read(file: Path) -> GitIgnoreSpec | None:
    """Read an ignore file's patterns; None if it excludes nothing. Raises HiddenError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise HiddenError(f"cannot read its {file.name}: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise HiddenError(f"its {file.name} is too large")
    text = data.decode("utf-8-sig", "surrogateescape")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        if file.name == _ONLY_PATTERNS and text.strip():
            return None
        raise HiddenError(f"its {file.name} is empty")
    for line in lines:
        parts = (part for part in line.split("/") if part != "**")
        count = max(line.split("/").count("**"), *(len(_WILDCARDS.findall(p)) for p in parts), 0)
        if count > _MAX_WILDCARDS:
            raise HiddenError(f"its {file.name} has a pattern with too many wildcards: {line}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about "[[" in patterns
            return GitIgnoreSpec.from_lines(lines)
    except (GitIgnorePatternError, re.error) as error:
        raise HiddenError(f"its {file.name} has an invalid pattern: {error}") from error
