"""What a music file's own tags say of it: one table of fields and keys, one opening of the file."""

import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import mutagen
from mutagen.aiff import AIFF
from mutagen.asf import ASF
from mutagen.dsdiff import DSDIFF
from mutagen.dsf import DSF
from mutagen.flac import FLAC
from mutagen.monkeysaudio import MonkeysAudio
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4
from mutagen.musepack import Musepack
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggspeex import OggSpeex
from mutagen.oggvorbis import OggVorbis
from mutagen.trueaudio import TrueAudio
from mutagen.wave import WAVE

from covergen.core.errors import TagError
from covergen.core.picture import is_own
from covergen.core.reasons import Reason
from covergen.core.types import Track
from covergen.library.bounded_reader import BoundedReader
from covergen.library.containers import identify_stream
from covergen.library.mutagen_errors import tag_errors
from covergen.library.pictures import ICONS, apev2, fault_in, id3, id3_places, pictures_in
from covergen.library.wavpack import AnyWavPack

__all__ = ["read_track"]

_LONGEST_TEXT = 1000
_LONGEST_SECONDS = 1e7

# Keys in order of preference, as MusicBrainz Picard's table of tag mappings has them.
_ID3 = {
    "title": ("TIT2",),
    "artist": ("TPE1",),
    "album": ("TALB",),
    "album_artist": ("TPE2",),
    "date": ("TDRC", "TYER"),
    "disc_number": ("TPOS",),
    "track_number": ("TRCK",),
    "compilation": ("TCMP",),
    "musicbrainz_album_id": ("TXXX:MusicBrainz Album Id",),
}
_VORBIS = {
    "title": ("title",),
    "artist": ("artist",),
    "album": ("album",),
    "album_artist": ("albumartist", "album artist", "album_artist"),
    "date": ("date", "year"),
    "disc_number": ("discnumber", "disc"),
    "track_number": ("tracknumber", "track"),
    "compilation": ("compilation",),
    "musicbrainz_album_id": ("musicbrainz_albumid",),
}
_MP4 = {
    "title": ("\xa9nam",),
    "artist": ("\xa9ART",),
    "album": ("\xa9alb",),
    "album_artist": ("aART",),
    "date": ("\xa9day",),
    "disc_number": ("disk",),
    "track_number": ("trkn",),
    "compilation": ("cpil",),
    "musicbrainz_album_id": ("----:com.apple.iTunes:MusicBrainz Album Id",),
}
_ASF = {
    "title": ("Title",),
    "artist": ("Author",),
    "album": ("WM/AlbumTitle",),
    "album_artist": ("WM/AlbumArtist",),
    "date": ("WM/Year",),
    "disc_number": ("WM/PartOfSet",),
    "track_number": ("WM/TrackNumber",),
    "compilation": ("WM/IsCompilation",),
    "musicbrainz_album_id": ("MusicBrainz/Album Id",),
}
_APEV2 = {
    "title": ("Title",),
    "artist": ("Artist",),
    "album": ("Album",),
    "album_artist": ("Album Artist", "AlbumArtist"),
    "date": ("Year", "Date"),
    "disc_number": ("Disc",),
    "track_number": ("Track",),
    "compilation": ("Compilation",),
    "musicbrainz_album_id": ("MUSICBRAINZ_ALBUMID",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """How a container is opened, its keys, and from its tags a function from key to values.

    `check` raises OverflowError for what mutagen would take for ever over.
    """

    open: Callable[[io.BufferedReader], mutagen.FileType]
    keys: Mapping[str, tuple[str, ...]]
    lookup: Callable[[Any], Callable[[str], Any]]
    check: Callable[[BinaryIO], None] | None = None


def _id3(kind: Callable[..., mutagen.FileType], place: id3_places.Place) -> _Format:
    # Untranslated, a date is as tagged, and a fifth of the time is saved.
    return _Format(
        open=partial(kind, translate=False),
        keys=_ID3,
        lookup=lambda tags: lambda key: tags[key].text,
        check=partial(id3.check_cost, place=place),
    )


def _vorbis(kind: Callable[..., mutagen.FileType]) -> _Format:
    def by_name(comments: list[tuple[str, str]]) -> Callable[[str], list[str]]:
        values: dict[str, list[str]] = {}
        for name, value in comments:
            values.setdefault(name.lower(), []).append(value)
        return values.__getitem__

    return _Format(open=kind, keys=_VORBIS, lookup=by_name)


def _apev2(kind: Callable[..., mutagen.FileType]) -> _Format:
    return _Format(
        open=kind, keys=_APEV2, lookup=lambda tags: lambda key: str(tags[key]).split("\0")
    )


_FORMATS = {
    "mp3": _id3(MP3, id3_places.START),
    "flac": _vorbis(FLAC),
    "mp4": _Format(open=MP4, keys=_MP4, lookup=lambda tags: tags.__getitem__),
    "vorbis": _vorbis(OggVorbis),
    "opus": _vorbis(OggOpus),
    "speex": _vorbis(OggSpeex),
    "oggflac": _vorbis(OggFLAC),
    "wav": _id3(WAVE, id3_places.WAV),
    "aiff": _id3(AIFF, id3_places.AIFF),
    "asf": _Format(
        open=ASF, keys=_ASF, lookup=lambda tags: lambda key: [value.value for value in tags[key]]
    ),
    "ape": _apev2(MonkeysAudio),
    "wavpack": _apev2(AnyWavPack),
    "musepack": _apev2(Musepack),
    "tta": _id3(TrueAudio, id3_places.START),
    "dsf": _id3(DSF, id3_places.DSF),
    "dff": _id3(DSDIFF, id3_places.DFF),
}


def read_track(path: Path, stat: os.stat_result) -> Track:
    """Read what the scan needs to know of a file, opening it once.

    Raises TagError: NOT_AUDIO where the content is no music, UNREADABLE where it is damaged. Where
    the system would not let it be read, the error's cause is the OSError.
    """
    try:
        with BoundedReader(path) as reader:
            container = identify_stream(reader)
            if container is None:
                no_music = TagError(path, _why_no_music(stat), reason=Reason.NOT_AUDIO)
                raise reader.failure or no_music
            reader.seek(0)
            return _parse(reader, path, stat, container)
    except OSError as error:
        raise TagError(path, error.strerror or str(error)) from error


@contextmanager
def _parse_errors(path: Path, reader: BoundedReader) -> Iterator[None]:
    """Raise TagError for damage, and the system's own errors as they are."""
    try:
        with tag_errors(path):
            yield
    except TagError as error:
        raise (reader.failure or error) from None


def _parse(reader: BoundedReader, path: Path, stat: os.stat_result, container: str) -> Track:
    format_ = _FORMATS[container]
    if format_.check:
        with BoundedReader(path) as ahead, _parse_errors(path, ahead):
            format_.check(ahead)
    with _parse_errors(path, reader):
        file = format_.open(reader)
        own = [is_own(p.data) for p in pictures_in(file) if p.kind not in ICONS]
        if container == "mp3":  # some programs put an APEv2 tag behind the sound
            own += [False for kind in apev2.kinds_at_end(reader) if kind not in ICONS]
        texts = _texts(format_, file.tags)
        seconds = float(file.info.length)
    fault = _fault(reader, container)
    return Track(
        path=path,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        container=container,
        has_art=bool(own),
        own_art=bool(own) and all(own),
        duration_seconds=seconds if 0 <= seconds <= _LONGEST_SECONDS else 0.0,
        title=texts["title"],
        artist=texts["artist"],
        album=texts["album"],
        album_artist=texts["album_artist"],
        date=texts["date"],
        disc_number=_number(texts["disc_number"]),
        track_number=_number(texts["track_number"]),
        compilation=texts["compilation"].lower() in ("1", "true", "yes"),
        musicbrainz_album_id=texts["musicbrainz_album_id"],
        fault=fault,
    )


def _fault(reader: BoundedReader, container: str) -> str:
    """Why no cover can be written into a file, as far as its structure tells, or ""."""
    try:
        return fault_in(reader, container)
    except OSError:
        if reader.failure:
            raise
        return ""  # so large that nobody looks


def _texts(format_: _Format, tags: Any) -> dict[str, str]:  # noqa: ANN401 - mutagen is untyped
    """Each field's first value that is not empty."""
    if tags is None:
        return dict.fromkeys(format_.keys, "")
    lookup = format_.lookup(tags)
    return {field: _first(lookup, keys) for field, keys in format_.keys.items()}


def _first(lookup: Callable[[str], Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        try:
            values = lookup(key)
        except KeyError:
            continue
        for value in values if isinstance(values, list) else [values]:
            if text := _text(value):
                return text
    return ""


def _text(value: object) -> str:
    if isinstance(value, tuple):  # (number, total) in MP4
        value = value[0]
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    text = text[:_LONGEST_TEXT].strip("\0 \t\r\n")
    # A lone surrogate out of a damaged UTF-16 text can neither be stored nor printed.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _number(text: str) -> int:
    digits = re.match("[0-9]{1,6}", text)
    return int(digits[0]) if digits else 0


def _why_no_music(stat: os.stat_result) -> str:
    return "its content is no music of a known kind" if stat.st_size else "an empty file"
