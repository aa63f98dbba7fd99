"""Globs of the names that cover files have."""

import fnmatch
import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from covergen.library.grouping import folded

__all__ = ["CoverNames"]

_ALBUM = "<album>"
_SPECIAL = re.compile(r'[][*?/\\:"<>|]+')  # in globs, or in names of files, which lack them


class CoverNames:
    """The globs, the most preferred first, and what they match.

    A glob is of a file's name, or of a sub-folder's and a file's ("scans/front.*"), in capitals or
    not. `<album>` stands for the title of the album.
    """

    def __init__(self, globs: Sequence[str]) -> None:
        self._globs = tuple(map(folded, globs))
        self._compiled = [None if _ALBUM in glob else _compiled(glob) for glob in self._globs]
        folders = {glob.partition("/")[0] for glob in self._globs if "/" in glob}
        self._folders = list(map(_compiled, folders))

    def is_art_folder(self, name: str) -> bool:
        """Whether covers are looked for in a sub-folder of this name."""
        name = name.casefold()
        return any(folder.match(name) for folder in self._folders)

    def ranked(
        self, pictures: Collection[str], titles: Iterable[str], *, own: bool
    ) -> Iterator[str]:
        """Those of the picture files that are covers, the most preferred first.

        Without `own`, since the folder is not the album's alone, only those that have its title.
        """
        left = {name: folded(name) for name in pictures}
        for glob, compiled in zip(self._globs, self._compiled, strict=True):
            if compiled is None:
                patterns = [_compiled(glob.replace(_ALBUM, text)) for text in _globs_of(titles)]
            else:
                patterns = [compiled] if own else []
            depth = glob.count("/")  # or a "*" would take in folders
            for pattern in patterns:
                fit = [
                    n
                    for n, text in left.items()
                    if text.count("/") == depth and pattern.match(text)
                ]
                for name in fit:
                    del left[name]
                    yield name


def _compiled(glob: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(glob))


def _globs_of(titles: Iterable[str]) -> Iterator[str]:
    """Titles as files are named by them, without what file systems do not allow in names."""
    for title in titles:
        glob = _SPECIAL.sub("*", folded(title))
        if any(map(str.isalnum, glob)):
            yield glob
