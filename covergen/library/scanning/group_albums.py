"""Group tracks into albums, with title, artist and key.

Tracks with the same album title form one album, unless they differ in album artist or MusicBrainz
album ID. If two tracks have the same disc and track number, artist (without featured artists) and
year also separate albums. So a guest artist does not split an album, nor do the original years of
a compilation's tracks, but two editions in one folder become two albums. Without track numbers,
years separate editions if there are several artists or repeated titles. A track that lacks the
distinguishing tag joins the album if there is only one candidate. Tracks with the same MusicBrainz
album ID always belong together.

Tracks without an album title, or with a placeholder such as "Unknown Album", are singles. If most
of them are numbered, no number repeats, and there is only one artist, they form an untagged album.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Literal

from covergen.core.album import Album, Track
from covergen.library.scanning.album_folder import AlbumFolder
from covergen.library.scanning.normalized_tags import (
    album_artist_of,
    album_title_of,
    artist_of,
    folded,
    musicbrainz_id_of,
    names_album,
    playing_order,
    position_of,
    without_featured,
    year_of,
)

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
        albums = [_tagged_album(group, place) for group in _tagged_groups(tagged)]
        if _is_untagged_album(loose):
            albums.append(_untagged_album(loose, place))
        else:
            albums += (_single(track, place) for track in loose)
    if place.partial or len(albums) > 1:
        return [replace(album, shares_folder=True) for album in albums]
    return albums


def _tagged_groups(tracks: Sequence[Track]) -> list[list[Track]]:
    """Group tracks that name their album; each group is in playing order."""
    groups = list(_group_by(tracks, album_title_of).values())
    groups = [part for group in groups for part in _by_album_artist(group)]
    groups = [part for group in groups for part in _split_by(group, musicbrainz_id_of)]
    return [part for group in _joined_by_id(groups) for part in _editions(group)]


def _group_by(tracks: Iterable[Track], feature: Callable[[Track], str]) -> dict[str, list[Track]]:
    parts: dict[str, list[Track]] = {}
    for track in tracks:
        parts.setdefault(feature(track), []).append(track)
    return parts


def _split_by(group: list[Track], feature: Callable[[Track], str]) -> list[list[Track]]:
    """Split by a feature. Tracks that lack it join the others if those share one value."""
    parts = _group_by(group, feature)
    return [group] if len(parts.keys() - {""}) < 2 else list(parts.values())


def _by_album_artist(group: list[Track]) -> list[list[Track]]:
    if any(track.compilation for track in group):
        return [group]
    return _split_by(group, album_artist_of)


def _joined_by_id(groups: Iterable[list[Track]]) -> list[list[Track]]:
    joined: dict[str, list[list[Track]]] = {}
    for index, group in enumerate(groups):
        identity = next(filter(None, map(musicbrainz_id_of, group)), f"without {index}")
        joined.setdefault(identity, []).append(group)
    return [
        parts[0] if len(parts) == 1 else sorted(chain(*parts), key=playing_order)
        for parts in joined.values()
    ]


def _editions(group: list[Track]) -> list[list[Track]]:
    """Split a group without MusicBrainz ID if it cannot be a single album."""
    if any(track.musicbrainz_album_id for track in group):
        return [group]
    is_one_artist = any(track.album_artist or track.compilation for track in group)
    if is_one_artist or not _has_conflict(group, artist_of):
        parts = [group]
    else:
        parts = _split_by(group, artist_of)
    return [edition for part in parts for edition in _by_year(part)]


def _by_year(group: list[Track]) -> list[list[Track]]:
    editions = _split_by(group, year_of)
    if len(editions) == 1:
        return editions
    if any(position_of(track)[1] for track in group):
        return editions if _has_conflict(group, year_of) else [group]
    artists = _group_by(group, album_artist_of).keys() - {""} or _group_by(group, artist_of).keys()
    titles = {(folded(track.title), year_of(track)) for track in group if track.title}
    repeated = len({title for title, _ in titles}) < len(titles)
    return editions if len(artists) > 1 or repeated else [group]


def _has_conflict(group: Iterable[Track], feature: Callable[[Track], str]) -> bool:
    """Whether tracks with the same disc and track number differ in a feature."""
    claims: dict[tuple[int, int], str] = {}
    for track in group:
        position, value = position_of(track), feature(track)
        if position[1] and value and claims.setdefault(position, value) != value:
            return True
    return False


def _is_untagged_album(tracks: Sequence[Track]) -> bool:
    """Whether tracks without an album title form an album rather than singles."""
    positions = [position_of(track) for track in tracks if position_of(track)[1]]
    return (
        len(tracks) > 1
        and 2 * len(positions) > len(tracks)
        and len(set(positions)) == len(positions)
        and len({artist_of(track) for track in tracks} - {""}) < 2
    )


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
