"""A track's tags, normalized for comparison."""

import re
import unicodedata
from functools import lru_cache

from covergen.core.album import Track
from covergen.library.scanning.known_names import disc_number

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


def album_title_of(track: Track) -> str:
    """The album title, folded, or "" if it is a placeholder such as "Unknown Album"."""
    return _album_title(track.album)


def position_of(track: Track) -> tuple[int, int]:
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
    disc, number = position_of(track)
    pieces = _DIGITS.split(track.path.name.casefold())
    natural = [int(piece) if odd % 2 else piece for odd, piece in enumerate(pieces)]
    return disc, number or _AFTER_ALL_NUMBERS, natural, str(track.path)


def names_album(track: Track) -> bool:
    """Whether the track's tags identify its album."""
    return bool(album_title_of(track) or track.musicbrainz_album_id)
