"""The front cover in each kind of container.

One file for each family of containers, one row of the table for each container. The families
splice raw bytes and touch nothing but the cover; mutagen then reads back what they wrote.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

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
from covergen.core.picture import Picture
from covergen.library.mutagen_errors import DAMAGE, tag_errors, words_of
from covergen.library.pictures import apev2, asf, comments, flac, id3, id3_places, mp4, vorbis
from covergen.library.pictures.embedded import (
    FRONT_COVER,
    ICONS,
    EmbeddedPicture,
    Gone,
    is_front_cover,
)
from covergen.library.wavpack import AnyWavPack

__all__ = [
    "FRONT_COVER",
    "ICONS",
    "EmbeddedPicture",
    "Gone",
    "edit_pictures",
    "fault_in",
    "is_front_cover",
    "pictures_in",
    "read_pictures",
    "remaining",
]

_MAYBE_DAMAGED = "the file may be damaged"


@dataclass(frozen=True, slots=True)
class _Container:
    """How mutagen opens a container and where it shows what, and how the raw file is handled."""

    opened_by: type[mutagen.FileType]
    pictures: Callable[[mutagen.FileType], list[EmbeddedPicture]]
    others: Callable[[mutagen.FileType], object]
    edit: Callable[[Path, Gone, Picture | None], str]
    rest: Callable[[Path, Gone], object]
    check: Callable[[BinaryIO], None]
    options: Mapping[str, object] = field(default_factory=dict)


def _id3(opened_by: type[mutagen.FileType], place: id3_places.Place) -> _Container:
    edit, rest = partial(id3.edit, place=place), partial(id3.rest, place=place)
    check = partial(id3.check, place=place)
    # Elsewhere mutagen would add an ID3v1 tag at the end to the tag once there is one.
    options = {} if place.beside_id3v1 else {"load_v1": False}
    return _Container(opened_by, id3.pictures, id3.others, edit, rest, check, options)


def _ogg(opened_by: type[mutagen.FileType], codec: vorbis.Codec) -> _Container:
    edit, rest = partial(vorbis.edit, codec=codec), partial(vorbis.rest, codec=codec)
    check = partial(vorbis.check, codec=codec)
    return _Container(opened_by, comments.pictures, comments.others, edit, rest, check)


def _apev2(opened_by: type[mutagen.FileType]) -> _Container:
    return _Container(opened_by, apev2.pictures, apev2.others, apev2.edit, apev2.rest, apev2.check)


_CONTAINERS = {
    "mp3": _id3(MP3, id3_places.START),
    "tta": _id3(TrueAudio, id3_places.START),
    "wav": _id3(WAVE, id3_places.WAV),
    "aiff": _id3(AIFF, id3_places.AIFF),
    "dff": _id3(DSDIFF, id3_places.DFF),
    "dsf": _id3(DSF, id3_places.DSF),
    "flac": _Container(FLAC, flac.pictures, flac.others, flac.edit, flac.rest, flac.check),
    "vorbis": _ogg(OggVorbis, vorbis.VORBIS),
    "opus": _ogg(OggOpus, vorbis.OPUS),
    "speex": _ogg(OggSpeex, vorbis.SPEEX),
    "oggflac": _ogg(OggFLAC, vorbis.OGG_FLAC),
    "mp4": _Container(MP4, mp4.pictures, mp4.others, mp4.edit, mp4.rest, mp4.check),
    "asf": _Container(ASF, asf.pictures, asf.others, asf.edit, asf.rest, asf.check),
    "ape": _apev2(MonkeysAudio),
    "wavpack": _apev2(AnyWavPack),
    "musepack": _apev2(Musepack),
}


def pictures_in(file: mutagen.FileType) -> list[EmbeddedPicture]:
    """Every picture in the tags of an opened file, icons included, front cover or not."""
    rows = (row for row in _CONTAINERS.values() if isinstance(file, row.opened_by))
    row = next(rows, None)
    return row.pictures(file) if row else []


def read_pictures(path: Path, container: str) -> list[EmbeddedPicture]:
    """Every picture in a file's tags, in their order. Raises TagError."""
    row = _CONTAINERS[container]
    with tag_errors(path):
        return row.pictures(row.opened_by(path, **row.options))


def edit_pictures(path: Path, container: str, gone: Gone, new: Picture | None) -> str:
    """Take the pictures that are `gone` out of a file, in place; make `new` its front cover.

    Works on a copy: an error may leave the file half-written. Returns a note for the outcome, or
    "". Raises TagError where the file is not built as it should be, WriteError where the picture
    does not fit, OSError as the system does.
    """
    with _damage(path):
        return _CONTAINERS[container].edit(path, gone, new)


def remaining(path: Path, container: str, gone: Gone) -> object:
    """All that an edit must leave as it is: equal before and after. Raises TagError.

    The raw bytes of all tags and hashes of the pictures that are not `gone`, in their order,
    together with what mutagen makes of them. `gone` has to hold for a new front cover as well.
    """
    row = _CONTAINERS[container]
    with tag_errors(path):
        file = row.opened_by(path, **row.options)
        kept = [
            sha256(picture.data).digest() for picture in row.pictures(file) if not gone(picture)
        ]
        seen = row.others(file)
    with _damage(path):
        return kept, seen, row.rest(path, gone)


def fault_in(file: BinaryIO, container: str) -> str:
    """Why the pictures of an open file could not be edited, as far as that is seen early, or "".

    Moves its position. Raises OSError.
    """
    file.seek(0)
    try:
        _CONTAINERS[container].check(file)
    except DAMAGE as error:
        return f"{_misbuilt(error)}; {_MAYBE_DAMAGED}"
    return ""


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn what a damaged file makes the families raise into TagError."""
    try:
        yield
    except DAMAGE as error:
        raise TagError(path, _misbuilt(error), hint=_MAYBE_DAMAGED) from error


def _misbuilt(error: Exception) -> str:
    words = words_of(error)
    return f"it is not built as its format says{words and ': '}{words}"
