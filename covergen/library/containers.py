"""The table of supported containers: everything that is specific to one, in one place.

To support another container, add an entry to `CONTAINERS` and, for a new tag format, a module to
`formats/`: see .docs/contributing.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
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

from covergen.library.formats import (
    apev2,
    asf,
    chunks,
    flac,
    id3,
    id3_places,
    matroska,
    matroska_segment,
    mp4,
    ogg,
)
from covergen.library.formats.tag_format import Place, TagFormat


@dataclass(frozen=True, slots=True)
class Container:
    """How to recognize, open and edit one kind of file.

    `extensions` are those that a scan includes: lower case, with the dot. `begins` decides by the
    first bytes, after any ID3v2 tags. `open` is mutagen's type for it, or one like it. Most players
    show no picture of more than `most_shown_bytes`, if that is less than fits. `growth` is what a
    file grows by for each byte of its picture.
    """

    extensions: tuple[str, ...]
    begins: Callable[[bytes], bool]
    open: Callable[[BinaryIO], mutagen.FileType]
    tags: TagFormat
    most_shown_bytes: int | None = None
    growth: float = 1.0


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
    place: Place,
) -> Container:
    # Without translation, dates stay as tagged and reading is 20 % faster. With ID3v1, mutagen
    # would merge it into ID3v2.
    opened = partial(open_, translate=False, load_v1=False)
    return Container(extensions, begins, opened, id3.tags_at(place))


def _ogg(
    extensions: tuple[str, ...], open_: Callable[..., mutagen.FileType], codec: ogg.Codec
) -> Container:
    begins, tags = partial(ogg.begins, codec=codec), ogg.tags_of(codec)
    return Container(extensions, begins, open_, tags, growth=ogg.GROWTH)


_MP4 = (".m4a", ".m4b", ".m4r", ".mp4")
_AIFF_MAGIC = _magic({0: b"FORM", 8: b"AIFF"}, {0: b"FORM", 8: b"AIFC"})
_MUSEPACK_MAGIC = _magic({0: b"MPCK"}, {0: b"MP+"})

# All players read ASF's list with 16-bit sizes; few look for larger pictures elsewhere.
_ASF_SHOWN_BYTES = (1 << 16) - 64
# With such a picture come 2 KiB of padding, and at most 152 bytes of attribute and list.
_ASF_GROWTH = 1 + 2200 / _ASF_SHOWN_BYTES

CONTAINERS = {
    # MP3 has no magic bytes: see `identify`.
    "mp3": _id3((".mp3", ".mp2", ".mp1"), _magic(), MP3, id3_places.MP3),
    "flac": Container((".flac", ".fla"), _magic({0: b"fLaC"}), FLAC, flac.TAGS),
    "mp4": Container(_MP4, _magic({4: b"ftyp"}), mp4.Mp4File, mp4.TAGS),
    "vorbis": _ogg((".ogg", ".oga"), OggVorbis, ogg.VORBIS),
    "opus": _ogg((".opus",), OggOpus, ogg.OPUS),
    "speex": _ogg((".spx",), OggSpeex, ogg.SPEEX),
    "oggflac": _ogg((".oga", ".ogg", ".oggflac"), ogg.OggFlacFile, ogg.OGG_FLAC),
    "wav": _id3((".wav", ".wave", ".bwf"), _magic({0: b"RIFF", 8: b"WAVE"}), WAVE, chunks.WAV),
    "aiff": _id3((".aiff", ".aif", ".aifc"), _AIFF_MAGIC, AIFF, chunks.AIFF),
    "asf": Container(
        (".wma", ".asf"), _magic({0: asf.MAGIC}), ASF, asf.TAGS, _ASF_SHOWN_BYTES, _ASF_GROWTH
    ),
    "ape": Container((".ape",), _magic({0: b"MAC "}), MonkeysAudio, apev2.TAGS),
    "wavpack": Container((".wv",), _magic({0: b"wvpk"}), apev2.WavPackFile, apev2.TAGS),
    "musepack": Container((".mpc", ".mp+", ".mpp"), _MUSEPACK_MAGIC, Musepack, apev2.TAGS),
    "tta": _id3((".tta",), _magic({0: b"TTA1"}), TrueAudio, id3_places.START),
    "dsf": _id3((".dsf",), _magic({0: b"DSD "}), DSF, id3_places.DSF),
    "dff": _id3((".dff",), _magic({0: b"FRM8", 12: b"DSD "}), DSDIFF, chunks.DFF),
    "matroska": Container(
        (".mka", ".weba", ".webm"), matroska_segment.begins, matroska.MatroskaFile, matroska.TAGS
    ),
}
"""All containers that can hold a cover, by name. Names are stored in the journal and the cache."""

AUDIO_EXTENSIONS = frozenset(e for row in CONTAINERS.values() for e in row.extensions)
"""The extensions that a scan includes."""

_BARE_EXTENSIONS = frozenset(
    (".aac", ".ac3", ".amr", ".au", ".caf", ".dts", ".ec3", ".eac3", ".rf64", ".w64")
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


def growth(container: str) -> float:
    """Return the bytes that a file grows for each byte of its picture."""
    row = CONTAINERS.get(container)
    return row.growth if row else 1.0


def _extension(name: str) -> str:
    _, dot, extension = name.rpartition(".")
    return f"{dot}{extension.lower()}"


def identify(path: Path) -> str | None:
    """Identify a file's container by its content, with or without covers; None if it is not audio.

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
    if head.startswith((b"RF64", b"BW64")):  # a WAV file with 64-bit sizes
        return "rf64"
    if head.startswith((ogg.MAGIC, matroska_segment.MAGIC)):
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
