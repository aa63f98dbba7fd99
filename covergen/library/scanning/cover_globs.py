"""Match file names against the globs of cover files."""

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from covergen.library.scanning.normalized_tags import folded

_ALBUM = "<album>"
_SPECIAL = re.compile(r'[][*?/\\:"<>|]+')  # special in globs, or not allowed in file names


class CoverGlobs:
    """Globs of cover file names, in order of preference.

    A glob matches a file name, or a sub-folder and a file name ("scans/front.*"), ignoring case.
    `<album>` stands for the album's title.
    """

    def __init__(self, globs: Sequence[str]) -> None:
        self._globs = tuple(map(folded, globs))
        self._compiled = [None if _ALBUM in glob else _compiled(glob) for glob in self._globs]
        folders = {glob.partition("/")[0] for glob in self._globs if "/" in glob}
        self._folders = list(map(_compiled, folders))

    def is_art_folder(self, name: str) -> bool:
        """Whether to look for covers in a sub-folder of this name."""
        name = name.casefold()
        return any(folder.match(name) for folder in self._folders)

    def ranked(
        self, pictures: Collection[str], titles: Callable[[], Iterable[str]], *, own: bool
    ) -> Iterator[str]:
        """Yield the pictures that match, in order of preference.

        If the folder is not the album's `own`, only pictures named after one of `titles` match.
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
            depth = glob.count("/")  # "*" must not match a separator
            for pattern in patterns:
                found = (name for name, text in left.items() if pattern.match(text))
                for name in [name for name in found if name.count("/") == depth]:
                    del left[name]
                    yield name


def _compiled(glob: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(glob))


def _globs_of(titles: Iterable[str], names: Collection[str]) -> Iterator[str]:
    """Yield globs for titles, with wildcards for characters that file names cannot contain.

    Titles that cannot match any of `names` are skipped: checking is cheaper than matching.
    """
    for title in titles:
        parts = _SPECIAL.split(folded(title))
        longest = max(parts, key=len)
        if any(map(str.isalnum, longest)) and any(longest in name for name in names):
            yield "*".join(parts)
