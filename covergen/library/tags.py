"""Read a track's tags, with one table of keys per tag format."""

import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import mutagen
import mutagen.id3
from mutagen.aiff import AIFF
from mutagen.asf import ASF
from mutagen.dsdiff import DSDIFF
from mutagen.dsf import DSF
from mutagen.flac import FLAC
from mutagen.monkeysaudio import MonkeysAudio
from mutagen.mp3 import MP3
from mutagen.musepack import Musepack
from mutagen.oggopus import OggOpus
from mutagen.oggspeex import OggSpeex
from mutagen.oggvorbis import OggVorbis
from mutagen.trueaudio import TrueAudio
from mutagen.wave import WAVE

from covergen.core.errors import TagError
from covergen.core.picture import is_image, is_own
from covergen.core.reasons import Reason
from covergen.core.types import Track
from covergen.library.bounded_reader import BoundedReader
from covergen.library.containers import identify_stream, is_bare_name
from covergen.library.mutagen_errors import DAMAGE, tag_errors
from covergen.library.pictures import (
    ICONS,
    apev2,
    fault_in,
    id3,
    id3_places,
    matroska,
    mp4,
    pictures_in,
    rf64,
    vorbis,
)
from covergen.library.pictures.texts import Texts, as_id3
from covergen.library.wavpack import AnyWavPack

__all__ = ["read_track"]

_MAX_TEXT_LENGTH = 1000
_MAX_SECONDS = 1e7

# If one of these is missing, other tags in the file are read too.
_LOOKED_FOR = ("title", "artist", "album", "date", "track_number")

# Keys in order of preference, from MusicBrainz Picard's tag mapping.
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

# By target level (matroska.org, Tagging): 50 is the album, 30 the track; FFmpeg writes no level.
_MATROSKA = {
    "title": ("30:TITLE", ":TITLE", "info:TITLE"),
    "artist": ("30:ARTIST", ":ARTIST", "50:ARTIST"),
    "album": (":ALBUM", "30:ALBUM", "50:ALBUM", "50:TITLE"),
    "album_artist": (":ALBUM_ARTIST", ":ALBUMARTIST", "50:ALBUM_ARTIST", "50:ARTIST"),
    "date": ("50:DATE_RELEASED", "30:DATE_RELEASED", ":DATE_RELEASED", ":DATE", ":YEAR"),
    "disc_number": ("50:PART_NUMBER", ":DISC", ":DISCNUMBER"),
    "track_number": ("30:PART_NUMBER", ":PART_NUMBER", ":TRACK", ":TRACKNUMBER"),
    "compilation": (":COMPILATION", "50:COMPILATION", "30:COMPILATION"),
    "musicbrainz_album_id": tuple(f"{level}:MUSICBRAINZ_ALBUMID" for level in ("", "50", "30")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """How to open a container and look up the values of its keys.

    `check` raises OverflowError for tags that mutagen would take too long to read. `place` is where
    players find ID3v2 tags; `texts` reads tags of other kinds. `is_video` tells whether an opened
    file is a video.
    """

    open: Callable[[io.BufferedReader], mutagen.FileType]
    keys: Mapping[str, tuple[str, ...]]
    lookup: Callable[[Any], Callable[[str], Any]]
    check: Callable[[BinaryIO], None] | None = None
    place: id3_places.Place | None = None
    texts: Callable[[BinaryIO], list[Texts]] = lambda _: []
    is_video: Callable[[mutagen.FileType], bool] | None = None


def _by_frame(tags: mutagen.id3.ID3) -> Callable[[str], Any]:
    return lambda key: tags[key].text


def _id3(kind: Callable[..., mutagen.FileType], place: id3_places.Place) -> _Format:
    # Without translation, dates stay as tagged and reading is 20 % faster.
    return _Format(
        open=partial(kind, translate=False, load_v1=False),
        keys=_ID3,
        lookup=_by_frame,
        check=partial(id3.check_cost, place=place),
        place=place,
        texts=place.texts,
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
        open=kind,
        keys=_APEV2,
        lookup=lambda tags: lambda key: str(tags[key]).split("\0"),
        texts=apev2.texts_at_end,
    )


_FORMATS = {
    "mp3": _id3(MP3, id3_places.MP3),
    "flac": replace(_vorbis(FLAC), place=id3_places.START, texts=id3_places.START.texts),
    "mp4": _Format(
        open=mp4.Mp4File,
        keys=_MP4,
        lookup=lambda tags: tags.__getitem__,
        is_video=lambda file: file.is_video,
    ),
    "vorbis": _vorbis(OggVorbis),
    "opus": _vorbis(OggOpus),
    "speex": _vorbis(OggSpeex),
    "oggflac": _vorbis(vorbis.OggFlacFile),
    "wav": _id3(WAVE, id3_places.WAV),
    "rf64": _id3(rf64.open_wave, rf64.RF64),
    "aiff": _id3(AIFF, id3_places.AIFF),
    "matroska": _Format(
        open=matroska.MatroskaFile,
        keys=_MATROSKA,
        lookup=lambda tags: tags.__getitem__,
        is_video=lambda file: file.is_video,
    ),
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
    """Read a file's tags, length and cover status, opening it once.

    Raises TagError: NOT_AUDIO if the content is not audio, UNREADABLE if it is damaged. If the
    system cannot read the file, the error's cause is the OSError.
    """
    try:
        with BoundedReader(path) as reader:
            container = identify_stream(reader)
            if container in (None, "mp3") and is_bare_name(path.name):  # some start with an ID3 tag
                return _bare_track(path, stat)
            if container is None:
                not_audio = TagError(path, _why_not_audio(stat), reason=Reason.NOT_AUDIO)
                raise reader.failure or not_audio
            reader.seek(0)
            return _parse(reader, path, stat, container)
    except OSError as error:
        raise TagError(path, error.strerror or str(error)) from error


def _bare_track(path: Path, stat: os.stat_result) -> Track:
    return Track(
        path=path,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        container=path.suffix.lower().removeprefix("."),
        has_art=False,
    )


@contextmanager
def _parse_errors(path: Path, reader: BoundedReader) -> Iterator[None]:
    """Raise TagError for a damaged file, and pass on the reader's OSError."""
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
        pictures = [p.data for p in pictures_in(file, container) if p.kind not in ICONS]
        elsewhere, further = [], []
        if place := format_.place:
            further = id3.further_tags(reader, place, file)
            found = id3.further_pictures(reader, place, further)
            elsewhere = [p.data for p in found if p.kind not in ICONS]
        texts = _texts(format_.keys, format_.lookup, file.tags)
        if not all(texts[field] for field in _LOOKED_FOR):
            with suppress(*DAMAGE):
                further.append(as_id3(format_.texts(reader)))
            texts = _fill_empty(texts, further)
        seconds = float(file.info.length)
        is_video = format_.is_video is not None and format_.is_video(file)
    fault = _fault(reader, container)
    images = list(filter(is_image, pictures))
    others = list(filter(is_image, elsewhere))
    return Track(
        path=path,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        container=container,
        has_art=bool(images or others),
        own_art=bool(images) and not others and all(map(is_own, images)),
        broken_art=len(images) + len(others) < len(pictures) + len(elsewhere),
        duration_seconds=seconds if 0 <= seconds <= _MAX_SECONDS else 0.0,
        title=texts["title"],
        artist=texts["artist"],
        album=texts["album"],
        album_artist=texts["album_artist"],
        date=texts["date"],
        disc_number=_number(texts["disc_number"]),
        track_number=_number(texts["track_number"]),
        compilation=texts["compilation"].lower() in ("1", "true", "yes"),
        musicbrainz_album_id=texts["musicbrainz_album_id"],
        is_video=is_video,
        fault=fault,
    )


def _fault(reader: BoundedReader, container: str) -> str:
    """Return why the file's structure prevents writing a cover, or ""."""
    try:
        return fault_in(reader, container)
    except OSError:
        if reader.failure:
            raise
        return ""  # past the reading limit


def _texts(
    keys: Mapping[str, tuple[str, ...]],
    lookup: Callable[[Any], Callable[[str], Any]],
    tags: Any,  # noqa: ANN401 - mutagen is untyped
) -> dict[str, str]:
    """Return each field's first non-empty value."""
    if tags is None:
        return dict.fromkeys(keys, "")
    values = lookup(tags)
    return {field: _first(values, names) for field, names in keys.items()}


def _fill_empty(texts: dict[str, str], further: Iterable[mutagen.id3.ID3]) -> dict[str, str]:
    """Fill empty texts from further tags."""
    for tags in further:
        found = _texts(_ID3, _by_frame, tags)
        texts = {field: text or found[field] for field, text in texts.items()}
    return texts


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
    text = text[:_MAX_TEXT_LENGTH].strip("\0 \t\r\n")
    # A lone surrogate from damaged UTF-16 can be neither stored nor printed.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _number(text: str) -> int:
    digits = re.match("[0-9]{1,6}", text)
    return int(digits[0]) if digits else 0


def _why_not_audio(stat: os.stat_result) -> str:
    return "not a known audio format" if stat.st_size else "the file is empty"
