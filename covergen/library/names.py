"""What names of files and folders mean to systems, servers and players."""

import re

__all__ = ["COVER_NAMES", "IGNORE_FILE", "SYSTEM_FOLDERS", "disc_number"]

SYSTEM_FOLDERS = frozenset({
    "$recycle.bin", "recycler", "recycled", "system volume information", "config.msi", "found.000",
    "__macosx", "network trash folder", "temporary items", "lost+found", "lost.dir",
    "@eadir", "@tmp", "@sharebin", "@recycle", "@recently-snapshot", "#recycle", "#snapshot",
})  # fmt: skip
"""Trash and other folders of Windows, macOS, Linux, Android and network storage, in lower case.

Those that begin with a dot (.Trash-1000, .Spotlight-V100) are hidden anyway.
"""

IGNORE_FILE = ".ndignore"
"""A folder with such a file is passed over by Navidrome, with all below it."""

_COVER_STEMS = ("cover", "folder", "front", "poster", "jacket", "default", "albumart", "album")
_COVER_EXTENSIONS = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")

COVER_NAMES = tuple(f"{stem}.{end}" for stem in _COVER_STEMS for end in _COVER_EXTENSIONS)
"""Cover files that Plex, Jellyfin or Navidrome read, in lower case, the most usual first."""

_DISC = re.compile(r"[(\[]?(?:cd|dis[ck]|dvd)[ ._-]*0*([0-9]{1,3})(?![0-9a-z])", re.IGNORECASE)


def disc_number(folder_name: str) -> int:
    """The number of a disc's folder ("CD 1", "Disc 02 - Bonus"), or 0 for any other folder."""
    found = _DISC.match(folder_name)
    return int(found[1]) if found else 0
