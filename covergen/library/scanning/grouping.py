"""Decide which tracks of a folder and its disc folders form an album.

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

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain

from covergen.core.types import Track
from covergen.library.scanning.folder_names import disc_number

__all__ = [
    "album_artist_of",
    "artist_of",
    "folded",
    "is_untagged_album",
    "musicbrainz_id_of",
    "names_album",
    "playing_order",
    "tagged_groups",
    "without_featured",
    "year_of",
]

_FEATURED = re.compile(r"\s+[(\[]?(?:feat|ft|featuring)\b.*", re.IGNORECASE | re.DOTALL)
_NAME_NUMBER = re.compile(r"(?:([0-9]{1,2})-)?(?:track[ _]*)?([0-9]{1,3})(?![0-9])", re.IGNORECASE)
_DIGITS = re.compile("([0-9]+)")
_YEAR = re.compile("[0-9]{4}")
# Placeholders for an unknown album: Windows Media Player (followed by the date), iTunes, Android,
# Picard.
_NO_TITLE = re.compile(
    r"[\W_]*(?:unknown(?: album)?|unbekanntes album|album inconnu|álbum desconocido|onbekend album"
    r"|album sconosciuto|неизвестный альбом|不明なアルバム|未知专辑|non-album tracks"
    r"|standalone recordings?)(?: \([\d/.: apm-]+\)|[\W_]*)"
)
_AFTER_ALL_NUMBERS = 1 << 30
_CACHED_TEXTS = 1 << 10  # cached, since tracks of an album share most texts


def names_album(track: Track) -> bool:
    """Whether the track's tags identify its album."""
    return bool(_title(track) or track.musicbrainz_album_id)


def tagged_groups(tracks: Sequence[Track]) -> list[list[Track]]:
    """Group tracks that name their album; each group is in playing order."""
    groups = list(_group_by(tracks, _title).values())
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
    if any(_position(track)[1] for track in group):
        return editions if _has_conflict(group, year_of) else [group]
    artists = _group_by(group, album_artist_of).keys() - {""} or _group_by(group, artist_of).keys()
    titles = {(folded(track.title), year_of(track)) for track in group if track.title}
    repeated = len({title for title, _ in titles}) < len(titles)
    return editions if len(artists) > 1 or repeated else [group]


def _has_conflict(group: Iterable[Track], feature: Callable[[Track], str]) -> bool:
    """Whether tracks with the same disc and track number differ in a feature."""
    claims: dict[tuple[int, int], str] = {}
    for track in group:
        position, value = _position(track), feature(track)
        if position[1] and value and claims.setdefault(position, value) != value:
            return True
    return False


def is_untagged_album(tracks: Sequence[Track]) -> bool:
    """Whether tracks without an album title form an album rather than singles."""
    positions = [_position(track) for track in tracks if _position(track)[1]]
    return (
        len(tracks) > 1
        and 2 * len(positions) > len(tracks)
        and len(set(positions)) == len(positions)
        and len({artist_of(track) for track in tracks} - {""}) < 2
    )


# Normalized tags, for comparison.


@lru_cache(_CACHED_TEXTS)
def folded(text: str) -> str:
    """Normalize a text's case, white space and Unicode form (NFC)."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return " ".join(text.lower().split())


@lru_cache(_CACHED_TEXTS)
def without_featured(artist: str) -> str:
    """Strip "feat. …" and similar from an artist's name."""
    return _FEATURED.sub("", artist)


def artist_of(track: Track) -> str:
    """The artist without featured artists, folded."""
    return folded(without_featured(track.artist))


def album_artist_of(track: Track) -> str:
    """The album artist, folded."""
    return folded(track.album_artist)


def musicbrainz_id_of(track: Track) -> str:
    """The MusicBrainz album ID, folded."""
    return folded(track.musicbrainz_album_id)


def year_of(track: Track) -> str:
    """The year of the date, or ""."""
    found = _YEAR.search(track.date)
    return found[0] if found else ""


@lru_cache(_CACHED_TEXTS)
def _album_title(album: str) -> str:
    title = folded(album)
    return "" if _NO_TITLE.fullmatch(title) else title


def _title(track: Track) -> str:
    """The album title, folded, or "" if it is a placeholder such as "Unknown Album"."""
    return _album_title(track.album)


def _position(track: Track) -> tuple[int, int]:
    """Disc and track number from the tags, else from the folder and file names, else 0."""
    *_, folder, name = "", *track.path.parts
    disc = track.disc_number or disc_number(folder)
    number = track.track_number
    if not (disc and number) and (named := _NAME_NUMBER.match(name)):
        disc = disc or int(named[1] or 0)
        number = number or int(named[2])
    return disc, number


def playing_order(track: Track) -> tuple[int, int, list[int | str], str]:
    """Sort key: disc, track number, then the file name in natural order."""
    disc, number = _position(track)
    pieces = _DIGITS.split(track.path.name.casefold())
    natural = [int(piece) if odd % 2 else piece for odd, piece in enumerate(pieces)]
    return disc, number or _AFTER_ALL_NUMBERS, natural, str(track.path)
