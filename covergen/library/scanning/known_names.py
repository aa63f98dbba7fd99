"""File and folder names with a meaning to operating systems, media servers and players."""

import re

SYSTEM_FOLDERS = frozenset({
    "$recycle.bin", "recycler", "recycled", "system volume information", "config.msi", "found.000",
    "__macosx", "network trash folder", "temporary items", "lost+found", "lost.dir",
    "@eadir", "@tmp", "@sharebin", "@recycle", "@recently-snapshot", "#recycle", "#snapshot",
})  # fmt: skip
"""Trash and other system folders of Windows, macOS, Linux, Android and NAS, in lower case.

Names with a leading dot (.Trash-1000, .Spotlight-V100) are hidden anyway.
"""

_ART_FOLDERS = ("scans", "artwork", "covers", "scan", "art")
_ART_NAMES = ("cover.*", "folder.*", "*front*.*", "<album>.*")

COVER_NAMES = (
    "cover.*", "folder.*", "front.*", "poster.*", "jacket.*", "default.*", "albumart.*", "album.*",
    "<album>.*", "albumart_*_large.*", "cover (*).*", "folder (*).*", "cover[0-9].*",
    "cover?large.*", "*front*.*",
    *(f"{folder}/{name}" for folder in _ART_FOLDERS for name in _ART_NAMES),
)  # fmt: skip
"""Globs of cover files, the most common first: names that Plex, Jellyfin and Navidrome read, that
Windows Media Player writes, and that people give to scans."""

_PICTURES = frozenset({
    "jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "jxl", "avif", "heic",
})  # fmt: skip

_DISC = re.compile(r"[(\[]?(?:cd|dis[ck]|dvd)[ ._-]*0*([0-9]{1,3})(?![0-9a-z])", re.IGNORECASE)


def disc_number(folder_name: str) -> int:
    """Return the number of a disc folder ("CD 1", "Disc 02 - Bonus"), or 0 for other folders."""
    found = _DISC.match(folder_name)
    return int(found[1]) if found else 0


def is_picture_name(name: str) -> bool:
    """Whether the name has a picture file's extension."""
    stem, _, extension = name.rpartition(".")
    return bool(stem) and extension.lower() in _PICTURES
