"""Playlists: their tracks as one album."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from covergen.core.album import Album, Outcome, Track
from covergen.core.errors import UsageError
from covergen.core.reasons import Reason
from covergen.library.scanning.scan import scan

if TYPE_CHECKING:
    from covergen.library.scanning.scan import ScanOptions
    from covergen.library.scanning.scan_cache import ScanCache


_SUFFIXES = (".m3u", ".m3u8")
_MOST_BYTES = 1 << 24


def is_playlist(path: Path) -> bool:
    """Whether a path has the extension of a playlist: .m3u or .m3u8."""
    return path.suffix.lower() in _SUFFIXES and not path.is_dir()


def scan_playlist(
    playlist: Path,
    options: ScanOptions,
    scan_cache: ScanCache,
    *,
    check_interrupted: Callable[[], None],
) -> Iterator[Album | Outcome]:
    """Yield an album of the tracks in a playlist, named after it, and the outcomes of its others.

    Its key depends on the names of the files only. Raises UsageError if it cannot be read or no
    track of it exists.
    """
    place = {path: number for number, path in enumerate(dict.fromkeys(_entries(playlist)))}
    # Path.is_file would raise OSError for a line that is too long to be a name.
    there = [path for path in place if os.path.isfile(path)]  # noqa: PTH113 - see above
    if not there:
        raise UsageError(f"None of the files in the playlist {playlist} exists.")
    for path in sorted(place.keys() - set(there)):
        message = f"in the playlist {playlist.name}"
        yield Outcome.failed(path, Reason.GONE, message)
    singles = replace(options, per="track", bare=True)
    tracks: list[Track] = []
    for item in scan(there, singles, scan_cache, check_interrupted=check_interrupted):
        if isinstance(item, Outcome):
            yield item
        else:
            tracks += item.tracks
    tracks.sort(key=lambda track: place[track.path])
    if tracks:
        yield Album(
            key=_key(tracks),
            folder=playlist.parent,
            title=playlist.stem,
            artist="",
            date="",
            tracks=tuple(tracks),
        )


def _key(tracks: Sequence[Track]) -> str:
    names = "\0".join(("playlist", *(track.path.name for track in tracks)))
    return hashlib.blake2b(names.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _entries(playlist: Path) -> Iterator[Path]:
    """Yield the files that a playlist names, without streams and comments."""
    try:
        with playlist.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except OSError as error:
        raise UsageError(f"{playlist} cannot be read: {error.strerror}.") from error
    for line in re.split(r"[\r\n]+", _decoded(data)):  # names may have what splitlines splits at
        name = line.strip()
        if name and not name.startswith("#") and "://" not in name:
            yield playlist.parent / _native(name, playlist.parent)


def _decoded(data: bytes) -> str:
    """Decode UTF-8, or the older Latin-1."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _native(name: str, folder: Path) -> Path:
    """Return a path, from one with backslashes if there is no file of that very name."""
    path = Path(name)
    if "\\" in name and not os.path.exists(folder / path):  # noqa: PTH110 - as in scan_playlist
        return Path(PureWindowsPath(name).as_posix())
    return path
