"""Texts from tags other than ID3v2, by ID3v2 frame names.

Most players ignore other tags if there is an ID3v2 tag, so a new one must repeat their texts.

Sources: APEv2 specification (Hydrogenaudio wiki), RIFF 1991, EA IFF 85, DSDIFF 1.5, id3.org for
ID3v1; the names of MusicBrainz Picard's tag mapping.
"""

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mutagen.id3 import ID3, TCON, Encoding, Frames

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

_NO_TEXT = 0b110  # flags of an APEv2 item that is binary or a URL
_MP3GAIN = "mp3gain_"  # mp3gain's undo data, which it reads only from APEv2

_WESTERN = "iso8859-1"
_OTHER_LATIN = ("iso8859-2", "iso8859-9", "iso8859-13")  # Central European, Turkish, Baltic

# High bytes unlikely to be Latin text: three in a row, without an ASCII letter beside, or symbols.
_UNLIKELY_LATIN = re.compile(
    r"[\x80-\xff]{3}|(?<![A-Za-z\x80-\xff])[\x80-\xff]+(?![A-Za-z\x80-\xff])|[\x80-\xbf×÷]"
)
_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})-([0-9]{2}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The texts of one tag: values by frame name, or by "TXXX:description".

    `source` is the kind of tag. `certain` is False if the encoding had to be guessed.
    """

    source: str
    values: Mapping[str, Sequence[str]]
    certain: bool = True


def from_apev2_items(items: Iterable[bytes]) -> Texts:
    """Read the texts among an APEv2 tag's raw items, which are UTF-8."""
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
    """Read the texts of a 128-byte ID3v1 tag. Returns None if it is not one."""
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
    """Read the texts of the chunks in a WAV file's LIST INFO chunk."""
    return _from_bytes("LIST INFO", [(_INFO[name], data) for name, data in chunks if name in _INFO])


def from_diin_chunks(chunks: Iterable[tuple[bytes, bytes]]) -> Texts:
    """Read the texts of the chunks in a DFF file's DIIN chunk; each follows its length."""
    return _from_bytes("DIIN", [(_DIIN[name], data[4:]) for name, data in chunks if name in _DIIN])


def from_aiff_chunks(chunks: Iterable[tuple[bytes, bytes]]) -> Texts:
    """Read an AIFF file's text chunks."""
    return _from_bytes("AIFF", [(_AIFF[n], data) for n, data in chunks if n in _AIFF])


def texts_to_repeat(found: Iterable[Texts]) -> list[Texts]:
    """Return the texts to repeat in a new ID3v2 tag, which takes precedence over the others.

    Guesses are left out. If the title is a guess, everything is: otherwise players would find a tag
    without a title, instead of the old tag, which they decode as their user has set them up to.
    """
    texts = [each for each in found if each.values]
    certain = [each for each in texts if each.certain]
    titled = any("TIT2" in each.values for each in certain)
    return certain if titled or len(certain) == len(texts) else []


def as_id3(found: Iterable[Texts]) -> ID3:
    """Build an ID3v2.3 tag with all texts; the first source of a frame wins."""
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
    """Decode a text of undeclared encoding. Returns it, and whether the encoding is certain.

    Text that is not UTF-8 is certain only if all Latin encodings agree, as on most German text.
    """
    try:
        return data.decode(), True
    except UnicodeDecodeError:
        text = data.decode(_WESTERN)
        alike = all(data.decode(other) == text for other in _OTHER_LATIN)
        return text, alike and not _UNLIKELY_LATIN.search(text)


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
    """Split a date: ID3v2.3 has one frame for the year, and one for day and month."""
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
