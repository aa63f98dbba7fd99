"""Artist folders: those named after the artist of albums below them."""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from covergen.core.album import Album, Outcome
from covergen.library.scanning.known_names import is_picture_name

ARTIST_NAMES = ("artist", "folder")
"""Stems of artist pictures: what Navidrome reads, and what Jellyfin and Kodi read."""

_TAKEN = (*ARTIST_NAMES, "poster", "thumb")


def artist_folders(albums: Iterable[Album | Outcome]) -> Iterator[Album | Outcome]:
    """Yield each artist folder as an album of all tracks of the artist's albums in it.

    `albums` are those of a scan, in its order; outcomes are passed on. Only the albums below one
    folder, and the folders above it, are in memory.
    """
    open_: dict[Path, list[Album]] = {}
    for item in albums:
        if isinstance(item, Outcome):
            yield item
            continue
        folder = folder_above(item)
        for left in [place for place in open_ if not folder.is_relative_to(place)]:
            yield _joined(left, open_.pop(left))
        if _plain(item.artist) and _plain(item.artist) == _plain(_named(folder).name):
            open_.setdefault(folder, []).append(item)
    for place, group in open_.items():
        yield _joined(place, group)


def folder_above(album: Album) -> Path:
    """Return the folder that contains an album's folder."""
    return _named(album.folder).parent


def is_within(folder: Path, paths: Iterable[Path]) -> bool:
    """Whether a folder, as a scan of `paths` names it, is one of them or below one."""
    return any(folder.is_relative_to(path) for path in paths)


def artist_picture(folder: Path) -> Path | None:
    """Return a picture in the folder that players show for an artist. Raises OSError."""
    for path in sorted(folder.iterdir()):
        if path.stem.casefold() in _TAKEN and is_picture_name(path.name):
            return path
    return None


def _joined(folder: Path, albums: list[Album]) -> Album:
    artist = albums[0].artist
    key = hashlib.blake2b(f"artist\0{_plain(artist)}".encode(), digest_size=16).hexdigest()
    tracks = tuple(track for album in albums for track in album.tracks)
    return Album(key=key, folder=folder, title=artist, artist="", date="", tracks=tracks)


def _named(folder: Path) -> Path:
    """Return a path that ends in the folder's name, which "." and ".." do not."""
    return folder.resolve() if folder.name in ("", "..") else folder


def _plain(name: str) -> str:
    """Reduce a name to its letters and digits, so that "Beatles, The" is "The Beatles"."""
    text = unicodedata.normalize("NFKD", name).casefold().strip()
    text = text.removeprefix("the ").removesuffix(", the")
    return "".join(character for character in text if character.isalnum())
