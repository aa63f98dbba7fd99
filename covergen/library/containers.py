"""The table of supported containers: everything that is specific to one, in one place.

To support another container, add an entry to `CONTAINERS` and, for a new tag format, a module to
`formats/`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import mutagen
from mutagen import MutagenError
from mutagen.aiff import AIFF
from mutagen.asf import ASF
from mutagen.dsdiff import DSDIFF
from mutagen.dsf import DSF
from mutagen.flac import FLAC
from mutagen.monkeysaudio import MonkeysAudio
from mutagen.mp3 import MP3, MPEGInfo
from mutagen.musepack import Musepack
from mutagen.oggopus import OggOpus
from mutagen.oggspeex import OggSpeex
from mutagen.oggvorbis import OggVorbis
from mutagen.trueaudio import TrueAudio
from mutagen.wave import WAVE

from covergen.core.picture import Picture
from covergen.library.formats import (
    apev2,
    asf,
    chunks,
    flac,
    id3,
    id3_places,
    keys,
    matroska,
    mp4,
    ogg,
    vorbis_comment,
)
from covergen.library.formats.embedded_picture import EmbeddedPicture, PictureFilter
from covergen.library.formats.texts import Texts

__all__ = [
    "AUDIO_EXTENSIONS",
    "CONTAINERS",
    "Container",
    "holds_covers",
    "identify",
    "identify_stream",
    "is_audio_name",
    "is_bare_name",
    "most_shown_bytes",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """How to recognize, open, read and edit one kind of file.

    `extensions` are those that a scan includes: lower case, with the dot. `begins` decides by the
    first bytes, after any ID3v2 tags.

    `open` is mutagen's type, or one like it. `keys` and `pictures` read from the opened file;
    `others` returns everything else in its tags, for comparison.

    The following work on the raw file, and raise ValueError or struct.error if it is damaged:

    - `edit` removes pictures and adds a front cover, and returns a note for the user, or "".
    - `rest` returns all bytes that `edit` must not change, for comparison.
    - `check` raises an error if `edit` would.
    - `check_cost` raises OverflowError for tags that mutagen would take too long to read.
    - `texts` and `place` find texts and ID3v2 tags that mutagen does not read.
    - A new tag may have to repeat texts from other tags: `prefill` adds those to an opened file,
      and `rest(…, prefilled=True)` is what to expect then.

    Most players show no picture of more than `most_shown_bytes`, if that is less than fits.
    """

    extensions: tuple[str, ...]
    begins: Callable[[bytes], bool]
    open: Callable[[BinaryIO], mutagen.FileType]
    keys: keys.Keys
    pictures: Callable[[mutagen.FileType], list[EmbeddedPicture]]
    others: Callable[[mutagen.FileType], object]
    edit: Callable[[BinaryIO, PictureFilter, Picture | None], str]
    rest: Callable[..., object]
    check: Callable[[BinaryIO], object]
    check_cost: Callable[[BinaryIO], None] | None = None
    texts: Callable[[BinaryIO], list[Texts]] = lambda _: []
    place: id3_places.Place | None = None
    prefill: Callable[[mutagen.FileType, BinaryIO], None] | None = None
    most_shown_bytes: int | None = None


def _magic(*alternatives: dict[int, bytes]) -> Callable[[bytes], bool]:
    """Whether a file has the given bytes at the given offsets, in one of the alternatives."""

    def begins(head: bytes) -> bool:
        return any(
            all(head.startswith(magic, offset) for offset, magic in marks.items())
            for marks in alternatives
        )

    return begins


def _id3(
    extensions: tuple[str, ...],
    begins: Callable[[bytes], bool],
    open_: Callable[..., mutagen.FileType],
    place: id3_places.Place,
) -> Container:
    return Container(
        extensions=extensions,
        begins=begins,
        # Without translation, dates stay as tagged and reading is 20 % faster. With ID3v1, mutagen
        # would merge it into ID3v2.
        open=partial(open_, translate=False, load_v1=False),
        keys=keys.ID3,
        pictures=id3.pictures,
        others=id3.others,
        edit=partial(id3.edit, place=place),
        rest=partial(id3.rest, place=place),
        check=partial(id3.check, place=place),
        check_cost=partial(id3.check_cost, place=place),
        texts=place.texts,
        place=place,
        prefill=partial(id3.prefill, place=place),
    )


def _ogg(
    extensions: tuple[str, ...], codec: ogg.Codec, open_: Callable[..., mutagen.FileType]
) -> Container:
    return Container(
        extensions=extensions,
        begins=partial(ogg.begins, codec=codec),
        open=open_,
        keys=keys.VORBIS,
        pictures=vorbis_comment.pictures,
        others=vorbis_comment.others,
        edit=partial(ogg.edit, codec=codec),
        rest=partial(ogg.rest, codec=codec),
        check=partial(ogg.check, codec=codec),
    )


def _apev2(
    extensions: tuple[str, ...],
    begins: Callable[[bytes], bool],
    open_: Callable[..., mutagen.FileType],
) -> Container:
    return Container(
        extensions=extensions,
        begins=begins,
        open=open_,
        keys=keys.APEV2,
        pictures=apev2.pictures,
        others=apev2.others,
        edit=apev2.edit,
        rest=apev2.rest,
        check=apev2.check,
        texts=apev2.texts_at_end,
        prefill=apev2.prefill,
    )


CONTAINERS = {
    # MP3 has no magic bytes: see `identify`.
    "mp3": _id3((".mp3", ".mp2", ".mp1"), _magic(), MP3, id3_places.MP3),
    "flac": Container(
        extensions=(".flac", ".fla"),
        begins=_magic({0: b"fLaC"}),
        open=FLAC,
        keys=keys.VORBIS,
        pictures=flac.pictures,
        others=flac.others,
        edit=flac.edit,
        rest=flac.rest,
        check=flac.check,
        texts=id3_places.START.texts,
        place=id3_places.START,
    ),
    "mp4": Container(
        extensions=(".m4a", ".m4b", ".m4r", ".mp4"),
        begins=_magic({4: b"ftyp"}),
        open=mp4.Mp4File,
        keys=keys.MP4,
        pictures=mp4.pictures,
        others=mp4.others,
        edit=mp4.edit,
        rest=mp4.rest,
        check=mp4.check,
    ),
    "vorbis": _ogg((".ogg", ".oga"), ogg.VORBIS, OggVorbis),
    "opus": _ogg((".opus",), ogg.OPUS, OggOpus),
    "speex": _ogg((".spx",), ogg.SPEEX, OggSpeex),
    "oggflac": replace(
        _ogg((".oga", ".ogg", ".oggflac"), ogg.OGG_FLAC, ogg.OggFlacFile),
        pictures=ogg.oggflac_pictures,
    ),
    "wav": _id3((".wav", ".wave", ".bwf"), _magic({0: b"RIFF", 8: b"WAVE"}), WAVE, chunks.WAV),
    "rf64": _id3(
        (".wav", ".wave", ".bwf", ".rf64"),
        _magic({0: b"RF64", 8: b"WAVE"}, {0: b"BW64", 8: b"WAVE"}),
        chunks.open_rf64,
        chunks.RF64,
    ),
    "aiff": _id3(
        (".aiff", ".aif", ".aifc"),
        _magic({0: b"FORM", 8: b"AIFF"}, {0: b"FORM", 8: b"AIFC"}),
        AIFF,
        chunks.AIFF,
    ),
    "asf": Container(
        extensions=(".wma", ".asf"),
        begins=_magic({0: asf.MAGIC}),
        open=ASF,
        keys=keys.ASF,
        pictures=asf.pictures,
        others=asf.others,
        edit=asf.edit,
        rest=asf.rest,
        check=asf.check,
        # All players read the list with 16-bit sizes; few look for larger pictures elsewhere.
        most_shown_bytes=(1 << 16) - 64,
    ),
    "ape": _apev2((".ape",), _magic({0: b"MAC "}), MonkeysAudio),
    "wavpack": _apev2((".wv",), _magic({0: b"wvpk"}), apev2.WavPackFile),
    "musepack": _apev2((".mpc", ".mp+", ".mpp"), _magic({0: b"MPCK"}, {0: b"MP+"}), Musepack),
    "tta": _id3((".tta",), _magic({0: b"TTA1"}), TrueAudio, id3_places.START),
    "dsf": _id3((".dsf",), _magic({0: b"DSD "}), DSF, id3_places.DSF),
    "dff": _id3((".dff",), _magic({0: b"FRM8", 12: b"DSD "}), DSDIFF, chunks.DFF),
    "matroska": Container(
        extensions=(".mka", ".weba", ".webm"),
        begins=matroska.begins,
        open=matroska.MatroskaFile,
        keys=keys.MATROSKA,
        pictures=matroska.pictures,
        others=matroska.others,
        edit=matroska.edit,
        rest=matroska.rest,
        check=lambda _: None,  # opening it already checks it
    ),
}
"""All containers that can hold a cover, by name. Names are stored in the journal and the cache."""

AUDIO_EXTENSIONS = frozenset(e for row in CONTAINERS.values() for e in row.extensions)
"""The extensions that a scan includes."""

_BARE_EXTENSIONS = frozenset(
    (".aac", ".ac3", ".amr", ".au", ".caf", ".dts", ".ec3", ".eac3", ".w64")
)
"""Audio that can be decoded, but whose format has no tags in which players look for covers."""

_HEAD_BYTES = 512
_MOST_ID3_TAGS = 8  # Windows Media Player sometimes stacks several


def is_audio_name(name: str) -> bool:
    """Whether the name has the extension of a container that can hold a cover."""
    return _extension(name) in AUDIO_EXTENSIONS


def is_bare_name(name: str) -> bool:
    """Whether the name has the extension of an audio format that cannot hold a cover."""
    return _extension(name) in _BARE_EXTENSIONS


def holds_covers(container: str) -> bool:
    """Whether covergen can embed covers in this container."""
    return container in CONTAINERS


def most_shown_bytes(container: str) -> int | None:
    """Return the largest picture that most players show, None if they show whatever fits."""
    row = CONTAINERS.get(container)
    return row.most_shown_bytes if row else None


def _extension(name: str) -> str:
    _, dot, extension = name.rpartition(".")
    return f"{dot}{extension.lower()}"


def identify(path: Path) -> str | None:
    """Identify a file's container by its content. Returns None if it is not audio.

    Raises OSError.
    """
    with path.open("rb") as file:
        return identify_stream(file)


def identify_stream(file: BinaryIO) -> str | None:
    """Identify an open file like `identify`. Moves its position. Raises OSError."""
    head, tagged = _head(file)
    for name, container in CONTAINERS.items():
        if container.begins(head):
            return name
    if head.startswith((ogg.MAGIC, matroska.MAGIC)):
        return None  # another kind of stream
    # An ID3v2 tag before any other data means MP3, even if the tag is cut short.
    return "mp3" if tagged or _has_mpeg_frames(file) else None


def _head(file: BinaryIO) -> tuple[bytes, bool]:
    """The first bytes after any ID3v2 tags, and whether there were any. Source: id3.org, 3.1."""
    offset = 0
    for tags in range(_MOST_ID3_TAGS):
        file.seek(offset)
        head = file.read(_HEAD_BYTES)
        if len(head) < 10 or not head.startswith(b"ID3"):
            return head, tags > 0
        a, b, c, d = (byte & 0x7F for byte in head[6:10])
        offset += 10 + (a << 21 | b << 14 | c << 7 | d)
    return b"", True


def _has_mpeg_frames(file: BinaryIO) -> bool:
    try:
        return not MPEGInfo(file).sketchy
    except MutagenError:
        return False
