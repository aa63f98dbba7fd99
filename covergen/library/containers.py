"""The supported containers, and how to identify them by their first bytes."""

from pathlib import Path
from typing import BinaryIO

from mutagen import MutagenError
from mutagen.mp3 import MPEGInfo

__all__ = [
    "AUDIO_EXTENSIONS",
    "CONTAINERS",
    "holds_covers",
    "identify",
    "identify_stream",
    "is_audio_name",
    "is_bare_name",
]

CONTAINERS: dict[str, tuple[str, ...]] = {
    "mp3": (".mp3", ".mp2", ".mp1"),
    "flac": (".flac", ".fla"),
    "mp4": (".m4a", ".m4b", ".m4r", ".mp4"),
    "vorbis": (".ogg", ".oga"),
    "opus": (".opus",),
    "speex": (".spx",),
    "oggflac": (".oga", ".ogg", ".oggflac"),
    "wav": (".wav", ".wave", ".bwf"),
    "rf64": (".wav", ".wave", ".bwf", ".rf64"),
    "aiff": (".aiff", ".aif", ".aifc"),
    "asf": (".wma", ".asf"),
    "ape": (".ape",),
    "wavpack": (".wv",),
    "musepack": (".mpc", ".mp+", ".mpp"),
    "tta": (".tta",),
    "dsf": (".dsf",),
    "dff": (".dff",),
    "matroska": (".mka", ".weba", ".webm"),
}
"""Each container with its usual extensions. `identify` decides by content."""

AUDIO_EXTENSIONS = frozenset(e for extensions in CONTAINERS.values() for e in extensions)
"""The extensions that a scan includes: lower case, with the dot."""

_BARE_EXTENSIONS = frozenset(
    (".aac", ".ac3", ".amr", ".au", ".caf", ".dts", ".ec3", ".eac3", ".w64")
)
"""Audio that can be decoded, but whose format has no tags in which players look for covers."""

_HEAD_BYTES = 512
_MOST_ID3_TAGS = 8  # Windows Media Player sometimes stacks several

# Each container with its magic bytes and their offsets, from the format's specification.
_MAGIC: tuple[tuple[str, tuple[tuple[int, bytes], ...]], ...] = (
    ("flac", ((0, b"fLaC"),)),
    ("mp4", ((4, b"ftyp"),)),
    ("wav", ((0, b"RIFF"), (8, b"WAVE"))),
    ("rf64", ((0, b"RF64"), (8, b"WAVE"))),
    ("rf64", ((0, b"BW64"), (8, b"WAVE"))),
    ("aiff", ((0, b"FORM"), (8, b"AIFF"))),
    ("aiff", ((0, b"FORM"), (8, b"AIFC"))),
    ("asf", ((0, bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")),)),
    ("ape", ((0, b"MAC "),)),
    ("wavpack", ((0, b"wvpk"),)),
    ("musepack", ((0, b"MPCK"),)),
    ("musepack", ((0, b"MP+"),)),
    ("tta", ((0, b"TTA1"),)),
    ("dsf", ((0, b"DSD "),)),
    ("dff", ((0, b"FRM8"), (12, b"DSD "))),
)

# Matroska and WebM state their DocType in a header of variable order (RFC 9559, section 5.1.1).
_EBML = bytes.fromhex("1a45dfa3")
_EBML_HEAD_BYTES = 80
_EBML_KINDS = (b"matroska", b"webm")

# The first bytes of an Ogg stream's first packet.
_OGG_CODECS = (
    (b"\x01vorbis", "vorbis"),
    (b"OpusHead", "opus"),
    (b"Speex   ", "speex"),
    (b"\x7fFLAC", "oggflac"),
)


def is_audio_name(name: str) -> bool:
    """Whether the name has the extension of a container that can hold a cover."""
    return _extension(name) in AUDIO_EXTENSIONS


def is_bare_name(name: str) -> bool:
    """Whether the name has the extension of an audio format that cannot hold a cover."""
    return _extension(name) in _BARE_EXTENSIONS


def holds_covers(container: str) -> bool:
    """Whether covergen can embed covers in this container."""
    return container in CONTAINERS


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
    for container, marks in _MAGIC:
        if all(head.startswith(magic, offset) for offset, magic in marks):
            return container
    if head.startswith(b"OggS"):
        return _ogg_codec(head)
    if head.startswith(_EBML):
        return "matroska" if any(kind in head[:_EBML_HEAD_BYTES] for kind in _EBML_KINDS) else None
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


def _ogg_codec(head: bytes) -> str | None:
    """Return the audio codec among the streams on the first pages. Source: RFC 3533, section 6."""
    page = 0
    while head.startswith(b"OggS", page) and page + 27 <= len(head) and head[page + 5] & 2:
        segments = head[page + 27 : page + 27 + head[page + 26]]
        packet = page + 27 + len(segments)
        for magic, container in _OGG_CODECS:
            if head.startswith(magic, packet):
                return container
        page = packet + sum(segments)
    return None


def _has_mpeg_frames(file: BinaryIO) -> bool:
    try:
        return not MPEGInfo(file).sketchy
    except MutagenError:
        return False
