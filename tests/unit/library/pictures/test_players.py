"""After a write, players show the same texts as before, and the cover.

Checked with TagLib, which many players use. Like them, it reads only the first tag that is not
empty.
"""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import pytest
import taglib

from covergen.core.album import Status, Track
from covergen.library.read_track import read_track
from covergen.library.writing.reversal import find_reversal
from tests.media import CONTAINERS
from tests.unit.library.pictures.conftest import Make
from tests.unit.library.pictures.id3_bytes import frame, tag
from tests.unit.library.pictures.tag_bytes import ape_tag, chunk, id3v1, info, item
from tests.unit.library.written import PNG, write

TAGS = {
    "title": "Überfahrt 海",
    "artist": "Ana",
    "album": "Inseln",
    "album_artist": "Ana und andere",
    "date": "1997",
    "track_number": "3/12",
    "disc_number": "1/2",
}
LONG = "Concerto for Two Violins, Strings and Continuo"
ITEMS = (
    item(b"Title", f"{LONG}: Vivace".encode()),
    item(b"Artist", "Ана\0Ömer".encode()),
    item(b"Album", LONG.encode()),
    item(b"Album Artist", b"Various"),
    item(b"Track", b"3/12"),
    item(b"Disc", b"2"),
    item(b"Year", b"1997-05-21"),
    item(b"Genre", b"Baroque"),
    item(b"Comment", b"a comment"),
    item(b"MUSICBRAINZ_ALBUMID", b"00000000-0000-4000-8000-000000000001"),
    item(b"REPLAYGAIN_TRACK_GAIN", b"-3.1 dB"),
    item(b"Mood", b"calm"),
)
V1 = id3v1(LONG, "Ana", "Grosse Konzerte", 3)
V2 = tag(3, frame(3, b"TIT2", b"\0T") + frame(3, b"TALB", b"\0A") + frame(3, b"TRCK", b"\x0003"))


def shown(path: Path) -> dict[str, Sequence[str]]:
    with taglib.File(path) as file:
        return dict(file.tags)


def covers(path: Path) -> list[bytes]:
    with taglib.File(path) as file:
        return [picture.data for picture in file.pictures]


def track_of(path: Path) -> Track:
    """The track as covergen reads it."""
    return read_track(path, path.stat())


def assert_a_cover_hides_nothing(path: Path, container: str) -> str:
    """Return the outcome's message."""
    texts, own = shown(path), track_of(path)
    original = path.with_suffix(".original")
    original.write_bytes(path.read_bytes())

    outcome = write(path, container, PNG, same_sound=lambda *_: True)

    assert outcome.status is Status.WRITTEN, outcome.message
    after = shown(path)
    assert {key: after.get(key) for key in texts} == texts
    assert covers(path) == [PNG.data]
    for field in ("title", "artist", "album", "album_artist", "date", "track_number"):
        assert getattr(track_of(path), field) == getattr(own, field)
    reversal = find_reversal(original, path)
    assert reversal is not None
    reversal.apply(path)
    assert path.read_bytes() == original.read_bytes()
    return outcome.message


# TagLib reads no Matroska before 2.2.
READ_BY_TAGLIB = [name for name in CONTAINERS if name != "matroska"]


@pytest.mark.parametrize("container", READ_BY_TAGLIB)
def test_cover_keeps_tags_visible(make: Make, container: str) -> None:
    path = make(container, tags=TAGS)
    assert shown(path)["ALBUM"] == ["Inseln"]

    assert assert_a_cover_hides_nothing(path, container) == ""


@pytest.mark.parametrize("container", READ_BY_TAGLIB)
def test_cover_is_visible_in_untagged_file(make: Make, container: str) -> None:
    assert assert_a_cover_hides_nothing(make(container), container) == ""


def appended(data: bytes) -> Callable[[bytes], bytes]:
    return lambda song: song + data


def prepended(data: bytes) -> Callable[[bytes], bytes]:
    return lambda song: data + song


def in_form(data: bytes, head: str) -> Callable[[bytes], bytes]:
    """The chunk at the end of a RIFF, FORM or FRM8 file, whose size counts it."""

    def added(song: bytes) -> bytes:
        (size,) = struct.unpack_from(head, song, 4)
        return (
            song[:4]
            + struct.pack(head, size + len(data))
            + song[4 + struct.calcsize(head) :]
            + data
        )

    return added


def diin(title: bytes, artist: bytes) -> bytes:
    texts = ((b"DIAR", artist), (b"DITI", title))
    parts = (chunk(n, struct.pack(">I", len(t)) + t, size=">Q") for n, t in texts)
    return chunk(b"DIIN", b"".join(parts), size=">Q")


WAV_INFO = info(INAM=LONG, IART="Ана", IPRD="Album", ICRD="1997", IPRT="03", IGNR="Rock", ISFT="X")
BESIDE = {
    "APEv2": ("mp3", appended(ape_tag(*ITEMS))),
    "APEv2 and ID3v1": ("mp3", appended(ape_tag(*ITEMS) + V1)),
    "little APEv2 and ID3v1": ("mp3", appended(ape_tag(item(b"Album", LONG.encode())) + V1)),
    "ID3v1": ("mp3", appended(V1)),
    "APEv2 after an empty ID3v2": ("mp3", lambda song: tag(4, bytes(80)) + song + ape_tag(*ITEMS)),
    "ID3v2 after garbage": ("mp3", prepended(bytes(1000) + V2)),
    "ID3v1 of TTA": ("tta", appended(V1)),
    "LIST INFO": ("wav", in_form(WAV_INFO, "<I")),
    "ID3v2 after a WAV": ("wav", appended(chunk(b"id3 ", V2))),
    "ID3v2 after a WAV with LIST INFO": (
        "wav",
        lambda song: in_form(WAV_INFO, "<I")(song) + chunk(b"id3 ", V2 + b"\0"),
    ),
    "ID3v2 after an AIFF": ("aiff", appended(chunk(b"ID3 ", V2, size=">I"))),
    "ID3v2 after another chunk": (
        "aiff",
        appended(chunk(b"note", b"odd", size=">I") + chunk(b"ID3 ", V2, size=">I")),
    ),
    "DIIN": ("dff", in_form(diin(b"Title", b"Ana"), ">Q")),
    "ID3v2 after a DFF": ("dff", appended(chunk(b"ID3 ", V2, size=">Q"))),
    "ID3v1 of Monkey's Audio": ("ape", appended(V1)),
    "ID3v1 of Musepack": ("musepack", appended(V1)),
    "ID3v1 of WavPack": ("wavpack", appended(V1)),
    "ID3v1 of FLAC": ("flac", appended(V1)),
}


@pytest.mark.parametrize("kind", BESIDE)
def test_cover_keeps_texts_of_other_tags_visible(make: Make, kind: str) -> None:
    container, changed = BESIDE[kind]
    path = make(container)
    path.write_bytes(changed(path.read_bytes()))
    assert shown(path), "TagLib shows no texts to begin with"
    assert track_of(path).title

    assert_a_cover_hides_nothing(path, container)


# ID3v1 and LIST INFO do not declare an encoding.

CERTAIN = [("ascii", "Plain"), ("latin-1", "Große Füße"), ("utf-8", "Кино"), ("utf-8", "海の歌")]
UNCERTAIN = [
    ("cp1251", "Группа крови"),
    ("cp1251", "DJ Грув"),
    ("cp1250", "Antonín Dvořák"),
    ("cp1253", "Βίκυ Λέανδρος"),
    ("cp1254", "K\u0131z\u0131l\u0131rmak"),
    ("cp1257", "Prāta Vētra"),
    ("cp932", "東京事変"),
    ("gbk", "周杰伦"),
    ("latin-1", "à la carte"),  # which is "ŕ la carte" in cp1250
]


@pytest.mark.parametrize(("encoding", "title"), CERTAIN, ids=str)
def test_texts_with_certain_encoding_are_copied(make: Make, encoding: str, title: str) -> None:
    path = make("mp3")
    path.write_bytes(path.read_bytes() + id3v1(title.encode(encoding), "Ana"))

    outcome = write(path, "mp3", PNG, same_sound=lambda *_: True)

    assert outcome.status is Status.WRITTEN, outcome.message
    assert "ID3v1" in outcome.message
    assert (shown(path)["TITLE"], shown(path)["ARTIST"]) == ([title], ["Ana"])


@pytest.mark.parametrize(("encoding", "title"), UNCERTAIN, ids=str)
def test_texts_with_uncertain_encoding_are_not_copied(
    make: Make, encoding: str, title: str
) -> None:
    song, wav = make("mp3"), make("wav")
    song.write_bytes(song.read_bytes() + id3v1(title.encode(encoding), "Ana"))
    wav.write_bytes(in_form(info(INAM=title.encode(encoding), IART="Ana"), "<I")(wav.read_bytes()))

    for path, container in ((song, "mp3"), (wav, "wav")):
        end, texts = path.read_bytes()[-128:], track_of(path)
        outcome = write(path, container, PNG, same_sound=lambda *_: True)

        assert outcome.status is Status.WRITTEN, outcome.message
        assert "encoding is unknown" in outcome.message
        assert shown(path) == {}  # and not mojibake
        assert covers(path) == [PNG.data]
        assert track_of(path).title == texts.title
        assert end in path.read_bytes()


def test_apev2_takes_precedence_over_id3v1(make: Make) -> None:
    path = make("mp3")
    v1 = id3v1("Группа крови".encode("cp1251"), "Кино".encode("cp1251"))
    path.write_bytes(path.read_bytes() + ape_tag(item(b"Title", "Группа крови".encode())) + v1)

    assert "APEv2" in assert_a_cover_hides_nothing(path, "mp3")


def test_replaygain_items_do_not_hide_id3v1(make: Make) -> None:
    path = make("mp3")
    gain = ape_tag(item(b"REPLAYGAIN_TRACK_GAIN", b"-3.1 dB"), item(b"MP3GAIN_MINMAX", b"1,2"))
    path.write_bytes(path.read_bytes() + gain + V1)

    write(path, "mp3", PNG)

    with av.open(path) as file:
        assert file.metadata["title"] == LONG[:30]
    assert "MP3GAIN_MINMAX" not in shown(path)
