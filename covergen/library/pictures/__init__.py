"""Read and write pictures in the tags of every supported container.

There is one module per tag format and one table row per container. The modules edit raw bytes and
change nothing but the cover; mutagen then reads the result back.
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
from covergen.library.mutagen_errors import DAMAGE, message_of, tag_errors
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
    PictureFilter,
    is_front_cover,
)
from covergen.library.wavpack import AnyWavPack

__all__ = [
    "FRONT_COVER",
    "ICONS",
    "EmbeddedPicture",
    "PictureFilter",
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
    """How to open a container with mutagen, and how to read and edit the raw file.

    A new tag may have to repeat texts from other tags: `prefill` adds those to an opened file, and
    `prefilled_rest` is the `rest` to expect then. `place` is where players find ID3v2 tags.
    `options` are passed to mutagen.
    """

    open: Callable[..., mutagen.FileType]
    pictures: Callable[[mutagen.FileType], list[EmbeddedPicture]]
    others: Callable[[mutagen.FileType], object]
    edit: Callable[[Path, PictureFilter, Picture | None], str]
    rest: Callable[[Path, PictureFilter], object]
    check: Callable[[BinaryIO], None]
    prefill: Callable[[mutagen.FileType, Path], None] | None = None
    prefilled_rest: Callable[[Path, PictureFilter], object] | None = None
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
        rest=partial(id3.rest, place=place, prefilled=False),
        check=partial(id3.check, place=place),
        prefill=partial(id3.prefill, place=place),
        prefilled_rest=partial(id3.rest, place=place, prefilled=True),
        place=place,
        options={"load_v1": False},  # mutagen would merge ID3v1 into ID3v2
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
        rest=partial(apev2.rest, prefilled=False),
        check=apev2.check,
        prefill=apev2.prefill,
        prefilled_rest=partial(apev2.rest, prefilled=True),
    )


_CONTAINERS = {
    "mp3": _id3(MP3, id3_places.MP3),
    "tta": _id3(TrueAudio, id3_places.START),
    "wav": _id3(WAVE, id3_places.WAV),
    "rf64": _id3(rf64.open_wave, rf64.RF64),
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
        lambda _: None,  # opening it already checks it
    ),
    "ape": _apev2(MonkeysAudio),
    "wavpack": _apev2(AnyWavPack),
    "musepack": _apev2(Musepack),
}


def pictures_in(file: mutagen.FileType, container: str) -> list[EmbeddedPicture]:
    """Return all pictures in the tags of an opened file, including icons."""
    return _CONTAINERS[container].pictures(file)


def read_pictures(path: Path, container: str) -> list[EmbeddedPicture]:
    """Return all pictures, in order, in the tag that `edit_pictures` edits. Raises TagError."""
    row = _CONTAINERS[container]
    with tag_errors(path):
        return row.pictures(row.opened(path))


def shown_pictures(path: Path, container: str) -> list[EmbeddedPicture]:
    """Return the `read_pictures`, and those in other tags that players show. Raises TagError."""
    row = _CONTAINERS[container]
    with tag_errors(path):
        file = row.opened(path)
        found = row.pictures(file)
        if row.place:
            with path.open("rb") as raw:
                tags = id3.further_tags(raw, row.place, file)
                found += id3.further_pictures(raw, row.place, tags)
        return found


def edit_pictures(
    path: Path, container: str, should_remove: PictureFilter, new: Picture | None
) -> str:
    """Remove pictures from a file, in place, and add `new` as front cover.

    Call it on a copy: an error may leave the file half-written. Returns a note for the outcome, or
    "". Raises TagError if the file is damaged, WriteError if the picture does not fit, and OSError.
    """
    with _damage(path):
        return _CONTAINERS[container].edit(path, should_remove, new)


def remaining(
    path: Path, container: str, should_remove: PictureFilter, *, prefilled: bool = False
) -> object:
    """Return everything that an edit must not change, for comparison before and after.

    That is the raw bytes of all tags, ordered hashes of the pictures that `should_remove` does not
    select, and the tags as mutagen reads them. `should_remove` must select the new front cover too.
    `prefilled`: for a file without a tag, include what a new tag repeats from other tags. Raises
    TagError.
    """
    row = _CONTAINERS[container]
    with tag_errors(path):
        file = row.opened(path)
    with _damage(path):
        if prefilled and row.prefill:
            row.prefill(file, path)
        rest = row.prefilled_rest if prefilled and row.prefilled_rest else row.rest
        raw = rest(path, should_remove)
    with tag_errors(path):
        pictures = row.pictures(file)
        kept = [sha256(picture.data).digest() for picture in pictures if not should_remove(picture)]
        return kept, row.others(file), raw


def fault_in(file: BinaryIO, container: str) -> str:
    """Return why the pictures in an open file cannot be edited, or "" if no damage is found.

    A quick check of the structure. Moves the file's position. Raises OSError.
    """
    file.seek(0)
    try:
        _CONTAINERS[container].check(file)
    except DAMAGE as error:
        return f"{_damage_message(error)}; {_MAYBE_DAMAGED}"
    return ""


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn the exceptions that a damaged file causes into TagError."""
    try:
        yield
    except DAMAGE as error:
        raise TagError(path, _damage_message(error), hint=_MAYBE_DAMAGED) from error


def _damage_message(error: Exception) -> str:
    message = message_of(error)
    return f"invalid file structure{message and ': '}{message}"
