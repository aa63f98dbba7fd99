"""What tags other than ID3v2 say of a track, under the names of ID3v2 frames.

Most players read no other tag once there is an ID3v2 tag, so a new one has to repeat these texts.

Sources: APEv2 specification (Hydrogenaudio wiki), RIFF 1991, EA IFF 85, DSDIFF 1.5, id3.org for
ID3v1; the names of MusicBrainz Picard's tag mapping.
"""

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mutagen.id3 import ID3, TCON, Encoding, Frames

__all__ = [
    "ID3V1_BYTES",
    "Texts",
    "as_id3",
    "carried",
    "from_aiff_chunks",
    "from_apev2_items",
    "from_diin_chunks",
    "from_id3v1",
    "from_info_chunks",
]

ID3V1_BYTES = 128
"""The size of an ID3v1 tag, at the end of a file."""

_APEV2 = {
    "title": "TIT2",
    "subtitle": "TIT3",
    "artist": "TPE1",
    "album": "TALB",
    "album artist": "TPE2",
    "albumartist": "TPE2",
    "year": "TDRC",
    "date": "TDRC",
    "track": "TRCK",
    "tracknumber": "TRCK",
    "disc": "TPOS",
    "discnumber": "TPOS",
    "genre": "TCON",
    "comment": "COMM",
    "composer": "TCOM",
    "conductor": "TPE3",
    "lyricist": "TEXT",
    "lyrics": "USLT",
    "mixartist": "TPE4",
    "publisher": "TPUB",
    "label": "TPUB",
    "copyright": "TCOP",
    "isrc": "TSRC",
    "bpm": "TBPM",
    "grouping": "TIT1",
    "language": "TLAN",
    "media": "TMED",
    "compilation": "TCMP",
    "titlesort": "TSOT",
    "artistsort": "TSOP",
    "albumsort": "TSOA",
    "albumartistsort": "TSO2",
    "composersort": "TSOC",
    "musicbrainz_albumid": "TXXX:MusicBrainz Album Id",
    "musicbrainz_artistid": "TXXX:MusicBrainz Artist Id",
    "musicbrainz_albumartistid": "TXXX:MusicBrainz Album Artist Id",
    "musicbrainz_releasegroupid": "TXXX:MusicBrainz Release Group Id",
}
_INFO = {
    b"INAM": "TIT2",
    b"IART": "TPE1",
    b"IPRD": "TALB",
    b"ICRD": "TDRC",
    b"ITRK": "TRCK",
    b"IPRT": "TRCK",
    b"IGNR": "TCON",
    b"ICMT": "COMM",
    b"IMUS": "TCOM",
    b"IWRI": "TEXT",
    b"IPUB": "TPUB",
    b"ICOP": "TCOP",
    b"IBPM": "TBPM",
    b"ILNG": "TLAN",
    b"IMED": "TMED",
    b"ITCH": "TENC",
    b"ISFT": "TSSE",
}
_DIIN = {b"DITI": "TIT2", b"DIAR": "TPE1"}
_AIFF = {b"NAME": "TIT2", b"AUTH": "TPE1", b"(c) ": "TCOP", b"ANNO": "COMM"}

_NO_TEXT = 0b110  # flags of an APEv2 item that is binary, or an address
_MP3GAIN = "mp3gain_"  # what mp3gain needs to take its own changes back; it reads APEv2 alone

_WESTERN = "iso8859-1"
_OTHER_LATIN = ("iso8859-2", "iso8859-9", "iso8859-13")  # Central European, Turkish, Baltic

# High bytes that are hardly Latin: three in a row, not beside an ASCII letter, or no letters.
_NO_LATIN_WORD = re.compile(
    r"[\x80-\xff]{3}|(?<![A-Za-z\x80-\xff])[\x80-\xff]+(?![A-Za-z\x80-\xff])|[\x80-\xbf×÷]"
)
_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})-([0-9]{2}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What one tag says: the values of each frame, where "TXXX:…" names its description.

    `source` is the kind of the tag. Not `certain`: its bytes are in one of several encodings, and
    what they say is a guess.
    """

    source: str
    values: Mapping[str, Sequence[str]]
    certain: bool = True


def from_apev2_items(items: Iterable[bytes]) -> Texts:
    """The texts among the raw items of an APEv2 tag, which are UTF-8."""
    values: dict[str, list[str]] = {}
    certain = True
    for item in items:
        (flags,) = struct.unpack_from("<I", item, 4)
        raw_name, _, data = item[8:].partition(b"\0")
        name = raw_name.decode("ascii", "replace")
        if flags & _NO_TEXT or name.lower().startswith(_MP3GAIN):
            continue
        text, is_certain = _decoded(data)
        if texts := [value for value in text.split("\0") if value.strip()]:
            values.setdefault(_APEV2.get(name.lower(), f"TXXX:{name}"), texts)
            certain = certain and is_certain
    return Texts(source="APEv2", values=values, certain=certain)


def from_id3v1(data: bytes) -> Texts | None:
    """What an ID3v1 tag says; None where these 128 bytes are none."""
    if len(data) != ID3V1_BYTES or data[:3] != b"TAG":
        return None
    fields = [
        ("TIT2", data[3:33]),
        ("TPE1", data[33:63]),
        ("TALB", data[63:93]),
        ("TDRC", data[93:97]),
        ("COMM", data[97:127]),
    ]
    track, genre = data[126] if not data[125] else 0, data[127]
    if track:
        fields += [("TRCK", b"%d" % track)]
    if genre < len(TCON.GENRES):
        fields += [("TCON", TCON.GENRES[genre].encode())]
    return _from_bytes("ID3v1", fields)


def from_info_chunks(chunks: Iterable[tuple[bytes, bytes]]) -> Texts:
    """What the chunks in a WAV's LIST of type INFO say."""
    return _from_bytes("LIST INFO", [(_INFO[name], data) for name, data in chunks if name in _INFO])


def from_diin_chunks(chunks: Iterable[tuple[bytes, bytes]]) -> Texts:
    """What the chunks in a DFF's DIIN chunk say; before each text stands its length."""
    return _from_bytes("DIIN", [(_DIIN[name], data[4:]) for name, data in chunks if name in _DIIN])


def from_aiff_chunks(chunks: Iterable[tuple[bytes, bytes]]) -> Texts:
    """What the text chunks of an AIFF say."""
    return _from_bytes("AIFF", [(_AIFF[n], data) for n, data in chunks if n in _AIFF])


def carried(found: Iterable[Texts]) -> list[Texts]:
    """Those that may be repeated in a new tag, which will outrank all of them.

    A guess may not. And where a title is a guess, nothing may: players that take it from where it
    is now, and decode it as their user is used to, would then find a tag without a title.
    """
    texts = [each for each in found if each.values]
    certain = [each for each in texts if each.certain]
    titled = any("TIT2" in each.values for each in certain)
    return certain if titled or len(certain) == len(texts) else []


def as_id3(found: Iterable[Texts]) -> ID3:
    """A tag for ID3v2.3 with all texts; the first that has a frame decides on it."""
    tags = ID3()
    values: dict[str, Sequence[str]] = {}
    for texts in found:
        values = {**texts.values, **values}
    for key, frame_values in values.items():
        for frame in _frames(key, frame_values):
            tags.add(frame)
    return tags


def _from_bytes(source: str, fields: Iterable[tuple[str, bytes]]) -> Texts:
    values: dict[str, list[str]] = {}
    certain = True
    for key, data in fields:
        text, is_certain = _decoded(data.partition(b"\0")[0].strip())
        if text:
            values.setdefault(key, [text])
            certain = certain and is_certain
    return Texts(source=source, values=values, certain=certain)


def _decoded(data: bytes) -> tuple[str, bool]:
    """A text in an encoding that nobody declared, and whether it can be no other.

    What is no UTF-8 is certain only where all Latin alphabets agree on it, as on most of German.
    """
    try:
        return data.decode(), True
    except UnicodeDecodeError:
        text = data.decode(_WESTERN)
        alike = all(data.decode(other) == text for other in _OTHER_LATIN)
        return text, alike and not _NO_LATIN_WORD.search(text)


def _frames(key: str, values: Sequence[str]) -> list[Any]:
    name, _, description = key.partition(":")
    if name == "TDRC":
        return [frame for part, text in _dates(values[0]) for frame in _frames(part, [text])]
    encoding = Encoding.LATIN1 if all(map(_is_latin1, values)) else Encoding.UTF16
    match name:
        case "TXXX" | "COMM":
            lang = {"lang": "eng"} if name == "COMM" else {}
            return [Frames[name](encoding=encoding, desc=description, text=list(values), **lang)]
        case "USLT":
            return [Frames[name](encoding=encoding, lang="eng", desc="", text="\n".join(values))]
    return [Frames[name](encoding=encoding, text=list(values))]


def _dates(text: str) -> list[tuple[str, str]]:
    """ID3v2.3 has a frame for the year, and one for day and month."""
    found = _DATE.match(text)
    if found is None:
        return [("TYER", text)]
    year, month, day = found.groups()
    return [("TYER", year), *([("TDAT", day + month)] if day else [])]


def _is_latin1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
