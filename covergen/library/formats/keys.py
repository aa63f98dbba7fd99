"""The keys of a track's tags in each tag format, from MusicBrainz Picard's tag mapping."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import mutagen.id3


@dataclass(frozen=True, slots=True)
class Keys:
    """A tag format's keys for each field, in order of preference.

    `lookup` turns mutagen's tags into a function that returns the value or values of a key, or
    raises KeyError.
    """

    names: Mapping[str, tuple[str, ...]]
    lookup: Callable[[Any], Callable[[str], Any]]


def _frame_texts(tags: mutagen.id3.ID3) -> Callable[[str], Any]:
    return lambda key: tags[key].text


def _comments(comments: list[tuple[str, str]]) -> Callable[[str], list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in comments:
        values.setdefault(name.lower(), []).append(value)
    return values.__getitem__


def _items(tags: Any) -> Callable[[str], Any]:  # noqa: ANN401 - mutagen is untyped
    return tags.__getitem__  # type: ignore[no-any-return]  # mutagen is untyped


ID3 = Keys(
    {
        "title": ("TIT2",),
        "artist": ("TPE1",),
        "album": ("TALB",),
        "album_artist": ("TPE2",),
        "date": ("TDRC", "TYER"),
        "disc_number": ("TPOS",),
        "track_number": ("TRCK",),
        "compilation": ("TCMP",),
        "musicbrainz_album_id": ("TXXX:MusicBrainz Album Id",),
    },
    _frame_texts,
)
VORBIS = Keys(
    {
        "title": ("title",),
        "artist": ("artist",),
        "album": ("album",),
        "album_artist": ("albumartist", "album artist", "album_artist"),
        "date": ("date", "year"),
        "disc_number": ("discnumber", "disc"),
        "track_number": ("tracknumber", "track"),
        "compilation": ("compilation",),
        "musicbrainz_album_id": ("musicbrainz_albumid",),
    },
    _comments,
)
MP4 = Keys(
    {
        "title": ("\xa9nam",),
        "artist": ("\xa9ART",),
        "album": ("\xa9alb",),
        "album_artist": ("aART",),
        "date": ("\xa9day",),
        "disc_number": ("disk",),
        "track_number": ("trkn",),
        "compilation": ("cpil",),
        "musicbrainz_album_id": ("----:com.apple.iTunes:MusicBrainz Album Id",),
    },
    _items,
)
ASF = Keys(
    {
        "title": ("Title",),
        "artist": ("Author",),
        "album": ("WM/AlbumTitle",),
        "album_artist": ("WM/AlbumArtist",),
        "date": ("WM/Year",),
        "disc_number": ("WM/PartOfSet",),
        "track_number": ("WM/TrackNumber",),
        "compilation": ("WM/IsCompilation",),
        "musicbrainz_album_id": ("MusicBrainz/Album Id",),
    },
    lambda tags: lambda key: [value.value for value in tags[key]],
)
APEV2 = Keys(
    {
        "title": ("Title",),
        "artist": ("Artist",),
        "album": ("Album",),
        "album_artist": ("Album Artist", "AlbumArtist"),
        "date": ("Year", "Date"),
        "disc_number": ("Disc",),
        "track_number": ("Track",),
        "compilation": ("Compilation",),
        "musicbrainz_album_id": ("MUSICBRAINZ_ALBUMID",),
    },
    lambda tags: lambda key: str(tags[key]).split("\0"),
)
# By target level (matroska.org, Tagging): 50 is the album, 30 the track; FFmpeg writes no level.
MATROSKA = Keys(
    {
        "title": ("30:TITLE", ":TITLE", "info:TITLE"),
        "artist": ("30:ARTIST", ":ARTIST", "50:ARTIST"),
        "album": (":ALBUM", "30:ALBUM", "50:ALBUM", "50:TITLE"),
        "album_artist": (":ALBUM_ARTIST", ":ALBUMARTIST", "50:ALBUM_ARTIST", "50:ARTIST"),
        "date": ("50:DATE_RELEASED", "30:DATE_RELEASED", ":DATE_RELEASED", ":DATE", ":YEAR"),
        "disc_number": ("50:PART_NUMBER", ":DISC", ":DISCNUMBER"),
        "track_number": ("30:PART_NUMBER", ":PART_NUMBER", ":TRACK", ":TRACKNUMBER"),
        "compilation": (":COMPILATION", "50:COMPILATION", "30:COMPILATION"),
        "musicbrainz_album_id": tuple(f"{level}:MUSICBRAINZ_ALBUMID" for level in ("", "50", "30")),
    },
    _items,
)
