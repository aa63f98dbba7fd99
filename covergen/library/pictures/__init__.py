"""The front cover in each kind of container.

One file for each family of containers, one row of the table for each container. The families
splice raw bytes and touch nothing but the cover; mutagen then reads back what they wrote.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
from mutagen.musepack import Musepack
from mutagen.oggopus import OggOpus
from mutagen.oggspeex import OggSpeex
from mutagen.oggvorbis import OggVorbis
from mutagen.trueaudio import TrueAudio
from mutagen.wave import WAVE

from covergen.core.errors import TagError
from covergen.core.picture import Picture
from covergen.library.mutagen_errors import DAMAGE, tag_errors, words_of
from covergen.library.pictures import (
    apev2,
    asf,
    comments,
    flac,
    id3,
    id3_places,
    matroska,
    mp4,
    rf64,
    vorbis,
)
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
    "shown_pictures",
]

_MAYBE_DAMAGED = "the file may be damaged"


@dataclass(frozen=True, slots=True)
class _Container:
    """How mutagen opens a container and where it shows what, and how the raw file is handled.

    A new tag may have to repeat what others say: `begin` shows an opened file with such a tag, and
    `begun_rest` is the `rest` of it. `place` is where players find ID3v2 tags. `options` are for
    mutagen.
    """

    open: Callable[..., mutagen.FileType]
    pictures: Callable[[mutagen.FileType], list[EmbeddedPicture]]
    others: Callable[[mutagen.FileType], object]
    edit: Callable[[Path, Gone, Picture | None], str]
    rest: Callable[[Path, Gone], object]
    check: Callable[[BinaryIO], None]
    begin: Callable[[mutagen.FileType, Path], None] | None = None
    begun_rest: Callable[[Path, Gone], object] | None = None
    place: id3_places.Place | None = None
    options: Mapping[str, bool] = field(default_factory=dict)

    def opened(self, path: Path) -> mutagen.FileType:
        return self.open(path, **self.options)


def _id3(open_: Callable[..., mutagen.FileType], place: id3_places.Place) -> _Container:
    return _Container(
        open=open_,
        pictures=id3.pictures,
        others=id3.others,
        edit=partial(id3.edit, place=place),
        rest=partial(id3.rest, place=place, begun=False),
        check=partial(id3.check, place=place),
        begin=partial(id3.begin, place=place),
        begun_rest=partial(id3.rest, place=place, begun=True),
        place=place,
        options={"load_v1": False},  # which mutagen mixes into ID3v2
    )


def _ogg(open_: type[mutagen.FileType], codec: vorbis.Codec) -> _Container:
    edit, rest = partial(vorbis.edit, codec=codec), partial(vorbis.rest, codec=codec)
    check = partial(vorbis.check, codec=codec)
    return _Container(open_, comments.pictures, comments.others, edit, rest, check)


def _apev2(open_: Callable[..., mutagen.FileType]) -> _Container:
    return _Container(
        open=open_,
        pictures=apev2.pictures,
        others=apev2.others,
        edit=apev2.edit,
        rest=partial(apev2.rest, begun=False),
        check=apev2.check,
        begin=apev2.begin,
        begun_rest=partial(apev2.rest, begun=True),
    )


_CONTAINERS = {
    "mp3": _id3(MP3, id3_places.MP3),
    "tta": _id3(TrueAudio, id3_places.START),
    "wav": _id3(WAVE, id3_places.WAV),
    "rf64": _id3(rf64.opened, rf64.RF64),
    "aiff": _id3(AIFF, id3_places.AIFF),
    "dff": _id3(DSDIFF, id3_places.DFF),
    "dsf": _id3(DSF, id3_places.DSF),
    "flac": _Container(
        FLAC, flac.pictures, flac.others, flac.edit, flac.rest, flac.check, place=id3_places.START
    ),
    "vorbis": _ogg(OggVorbis, vorbis.VORBIS),
    "opus": _ogg(OggOpus, vorbis.OPUS),
    "speex": _ogg(OggSpeex, vorbis.SPEEX),
    "oggflac": replace(_ogg(vorbis.OggFlacFile, vorbis.OGG_FLAC), pictures=vorbis.oggflac_pictures),
    "mp4": _Container(mp4.Mp4File, mp4.pictures, mp4.others, mp4.edit, mp4.rest, mp4.check),
    "asf": _Container(ASF, asf.pictures, asf.others, asf.edit, asf.rest, asf.check),
    "matroska": _Container(
        matroska.MatroskaFile,
        matroska.pictures,
        matroska.others,
        matroska.edit,
        matroska.rest,
        lambda _: None,  # what cannot be edited is not opened either
    ),
    "ape": _apev2(MonkeysAudio),
    "wavpack": _apev2(AnyWavPack),
    "musepack": _apev2(Musepack),
}


def pictures_in(file: mutagen.FileType, container: str) -> list[EmbeddedPicture]:
    """Every picture in the tags of an opened file, icons included, front cover or not."""
    return _CONTAINERS[container].pictures(file)


def read_pictures(path: Path, container: str) -> list[EmbeddedPicture]:
    """Every picture in the tag that an edit goes into, in their order. Raises TagError."""
    row = _CONTAINERS[container]
    with tag_errors(path):
        return row.pictures(row.opened(path))


def shown_pictures(path: Path, container: str) -> list[EmbeddedPicture]:
    """As `read_pictures`, and those in further tags, which some players show. Raises TagError."""
    row = _CONTAINERS[container]
    with tag_errors(path):
        file = row.opened(path)
        found = row.pictures(file)
        if row.place:
            with path.open("rb") as raw:
                tags = id3.further_tags(raw, row.place, file)
                found += id3.further_pictures(raw, row.place, tags)
        return found


def edit_pictures(path: Path, container: str, gone: Gone, new: Picture | None) -> str:
    """Take the pictures that are `gone` out of a file, in place; make `new` its front cover.

    Works on a copy: an error may leave the file half-written. Returns a note for the outcome, or
    "". Raises TagError where the file is not built as it should be, WriteError where the picture
    does not fit, OSError as the system does.
    """
    with _damage(path):
        return _CONTAINERS[container].edit(path, gone, new)


def remaining(path: Path, container: str, gone: Gone, *, begun: bool = False) -> object:
    """All that an edit must leave as it is: equal before and after. Raises TagError.

    The raw bytes of all tags and hashes of the pictures that are not `gone`, in their order,
    together with what mutagen makes of them. `gone` has to hold for a new front cover as well.
    `begun`: of a file without a tag, what a new one is to hold.
    """
    row = _CONTAINERS[container]
    with tag_errors(path):
        file = row.opened(path)
    with _damage(path):
        if begun and row.begin:
            row.begin(file, path)
        rest = row.begun_rest if begun and row.begun_rest else row.rest
        raw = rest(path, gone)
    with tag_errors(path):
        pictures = row.pictures(file)
        kept = [sha256(picture.data).digest() for picture in pictures if not gone(picture)]
        return kept, row.others(file), raw


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
