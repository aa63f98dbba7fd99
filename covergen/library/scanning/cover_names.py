"""Globs of the names that cover files have."""

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from covergen.library.scanning.grouping import folded

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
        self, pictures: Collection[str], titles: Callable[[], Iterable[str]], *, own: bool
    ) -> Iterator[str]:
        """Those of the picture files that are covers, the most preferred first.

        Without `own`, since the folder is not the album's alone, only those that have one of its
        `titles`.
        """
        if not pictures:
            return
        left = {name: folded(name) for name in pictures}
        named: list[str] | None = None
        for glob, compiled in zip(self._globs, self._compiled, strict=True):
            if compiled is not None:
                patterns = [compiled] if own else []
            else:
                if named is None:
                    named = list(_globs_of(titles(), left.values()))
                patterns = [_compiled(glob.replace(_ALBUM, title)) for title in named]
            depth = glob.count("/")  # or a "*" would take in folders
            for pattern in patterns:
                found = (name for name, text in left.items() if pattern.match(text))
                for name in [name for name in found if name.count("/") == depth]:
                    del left[name]
                    yield name


def _compiled(glob: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(glob))


def _globs_of(titles: Iterable[str], names: Collection[str]) -> Iterator[str]:
    """Titles as files are named by them, without what file systems do not allow in names.

    Only those that some of the names can match, since a glob costs more than to see that.
    """
    for title in titles:
        parts = _SPECIAL.split(folded(title))
        longest = max(parts, key=len)
        if any(map(str.isalnum, longest)) and any(longest in name for name in names):
            yield "*".join(parts)
