"""Build albums from tracks, with title, artist and key."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from covergen.core.types import Album, Track
from covergen.library.scanning.folders import AlbumFolder
from covergen.library.scanning.grouping import (
    album_artist_of,
    artist_of,
    folded,
    is_untagged_album,
    musicbrainz_id_of,
    names_album,
    playing_order,
    tagged_groups,
    without_featured,
    year_of,
)

__all__ = ["albums_in"]

_VARIOUS = "Various Artists"


def albums_in(
    place: AlbumFolder, tracks: Sequence[Track], *, per: Literal["album", "track"]
) -> list[Album]:
    """Group the tracks of a folder and its discs into albums, each in playing order.

    `per="track"` makes each track an album.
    """
    ordered = sorted(tracks, key=playing_order)
    if per == "track":
        albums = [_single(track, place) for track in ordered]
    else:
        tagged: list[Track] = []
        loose: list[Track] = []
        for track in ordered:
            (tagged if names_album(track) else loose).append(track)
        albums = [_tagged_album(group, place) for group in tagged_groups(tagged)]
        if is_untagged_album(loose):
            albums.append(_untagged_album(loose, place))
        else:
            albums += (_single(track, place) for track in loose)
    if place.partial or len(albums) > 1:
        return [replace(album, shares_folder=True) for album in albums]
    return albums


def _tagged_album(tracks: Sequence[Track], place: AlbumFolder) -> Album:
    title = _most_common(track.album for track in tracks)
    artist = _common_artist(tracks)
    identity = _most_common(map(musicbrainz_id_of, tracks))
    year = _most_common(map(year_of, tracks))
    return Album(
        key=_key("mbid", identity)
        if identity
        else _key("album", folded(artist), folded(title), year),
        folder=place.path,
        title=title,
        artist=artist,
        date=_most_common(track.date for track in tracks),
        tracks=tuple(tracks),
    )


def _untagged_album(tracks: Sequence[Track], place: AlbumFolder) -> Album:
    return Album(
        key=_key("files", *_names(tracks, place)),
        folder=place.path,
        title=_name(place.path),
        artist=_most_common(track.artist for track in tracks),
        date=_most_common(track.date for track in tracks),
        tracks=tuple(tracks),
    )


def _single(track: Track, place: AlbumFolder) -> Album:
    if track.title and track.artist:
        numbers = (str(track.disc_number), str(track.track_number))
        texts = (folded(text) for text in (track.artist, track.album, track.title))
        key = _key("track", *texts, *numbers)
    else:
        key = _key("files", *_names([track], place))
    return Album(
        key=key,
        folder=place.path,
        title=track.title or track.path.stem,
        artist=track.artist or track.album_artist,
        date=track.date,
        tracks=(track,),
    )


def _common_artist(tracks: Sequence[Track]) -> str:
    """Return the album artist, or the tracks' common artist, or "Various Artists"."""
    album_artists = {album_artist_of(track) for track in tracks} - {""}
    if album_artists:
        various = len(album_artists) > 1
        return _VARIOUS if various else _most_common(track.album_artist for track in tracks)
    artists = {artist_of(track) for track in tracks} - {""}
    if len(artists) > 1 or any(track.compilation for track in tracks):
        return _VARIOUS
    return _most_common(without_featured(track.artist) for track in tracks)


def _most_common(texts: Iterable[str]) -> str:
    """Return the most common non-empty text; ties go to the first in alphabetical order."""
    counts = Counter(filter(None, texts))
    return min(counts, key=lambda text: (-counts[text], text), default="")


def _key(*parts: str) -> str:
    """Hash the parts to hexadecimal, each prefixed with its length so that none run together."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%b" % (len(data), data))
    return digest.hexdigest()


def _names(tracks: Iterable[Track], place: AlbumFolder) -> list[str]:
    """Return the names of the album's folder and files, independent of the folder's location."""
    names = [_name(place.path)]
    for track in tracks:
        if track.path.parent != place.path:
            names.append(_name(track.path.parent))
        names.append(track.path.name)
    return [unicodedata.normalize("NFC", name) for name in names]


def _name(folder: Path) -> str:
    return folder.resolve().name  # the name of "." is empty
