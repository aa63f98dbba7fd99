"""Tags are read from every container, and damage raises nothing but TagError."""

import base64
import io
import re
import shutil
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from mutagen.apev2 import BINARY, APEv2, APEValue
from mutagen.flac import FLAC
from mutagen.id3 import APIC, ID3, TIT2
from mutagen.oggvorbis import OggVorbis

from covergen.core.album import Track
from covergen.core.errors import TagError
from covergen.core.reasons import Reason
from covergen.library.pictures_in_files import shown_pictures
from covergen.library.read_track import read_track
from tests.media import (
    CONTAINERS,
    EXTENSION,
    corrupted,
    encode,
    picture_bytes,
    put_picture,
    put_tags,
    truncated,
)
from tests.unit.library.pictures.tag_bytes import ape_tag, chunk, id3v1, item

_TAGS = {
    "title": "Große Fuge 🎻",
    "artist": "The Artist",
    "album": "An Album",
    "album_artist": "The Album Artist",
    "date": "1997",
    "disc_number": "2/3",
    "track_number": "7/12",
    "compilation": "1",
    "musicbrainz_album_id": "00000000-0000-4000-8000-000000000001",
}
_SECONDS = 0.5
# Python's own messages about an index, a buffer or a type do not help users.
PYTHONS_OWN = re.compile("out of range|unpack_|buffer|' object|NoneType|' codec|Error")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One untagged file of each container."""
    folder = tmp_path_factory.mktemp("clips")
    return {
        container: encode(folder / f"clip{EXTENSION[container]}", container, seconds=_SECONDS)
        for container in CONTAINERS
    }


@pytest.fixture
def clip(clips: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Return a copy of an untagged file."""
    return lambda container: Path(shutil.copy(clips[container], tmp_path))


def _read(path: Path) -> Track:
    return read_track(path, path.stat())


@pytest.mark.parametrize("container", CONTAINERS)
def test_tags_are_read(container: str, clip: Callable[[str], Path]) -> None:
    path = clip(container)
    put_tags(path, container, _TAGS)
    stat = path.stat()
    track = _read(path)
    assert track == Track(
        path=path,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        container=container,
        has_art=False,
        duration_seconds=track.duration_seconds,
        title="Große Fuge 🎻",
        artist="The Artist",
        album="An Album",
        album_artist="The Album Artist",
        date="1997",
        disc_number=2,
        track_number=7,
        compilation=True,
        musicbrainz_album_id="00000000-0000-4000-8000-000000000001",
    )
    if container not in ("speex", "ape", "musepack"):  # fixtures with another length
        assert track.duration_seconds == pytest.approx(_SECONDS, abs=0.1)


def test_id3v2_4_full_date(clip: Callable[[str], Path]) -> None:
    path = clip("mp3")
    put_tags(path, "mp3", {**_TAGS, "date": "1997-05-21"}, id3_version=4)
    assert _read(path).date == "1997-05-21"


def test_id3v2_2_is_read(clip: Callable[[str], Path]) -> None:
    path = clip("mp3")
    texts = {b"TT2": "Title", b"TP1": "Artist", b"TAL": "Album", b"TYE": "1997", b"TRK": "3/9"}
    frames = b"".join(
        name + struct.pack(">I", len(text) + 1)[1:] + b"\0" + text.encode()
        for name, text in texts.items()
    )
    head = b"ID3\x02\x00\x00" + bytes([0, 0, len(frames) >> 7, len(frames) & 0x7F])
    path.write_bytes(head + frames + path.read_bytes())
    track = _read(path)
    assert (track.title, track.artist, track.album) == ("Title", "Artist", "Album")
    assert (track.date, track.track_number) == ("1997", 3)


def test_first_non_empty_value_is_used(clip: Callable[[str], Path]) -> None:
    path = clip("flac")
    file = FLAC(path)
    file["artist"] = ["", "  Queen ", "David Bowie"]
    file["tracknumber"] = "A1"
    file.save()
    track = _read(path)
    assert (track.artist, track.track_number) == ("Queen", 0)


def test_long_texts_are_truncated(clip: Callable[[str], Path]) -> None:
    path = clip("flac")
    put_tags(path, "flac", {"title": "x" * 1_000_000})
    assert 100 < len(_read(path).title) < 10_000


@pytest.mark.parametrize("container", ["mp3", "flac", "vorbis", "asf", "wav", "dsf"])
@pytest.mark.parametrize(("kind", "is_art"), [(0, True), (1, False), (2, False), (4, True)])
def test_pictures_other_than_icons_are_art(
    kind: int, is_art: bool, container: str, clip: Callable[[str], Path]
) -> None:
    path = clip(container)
    put_picture(path, container, picture_bytes(), kind=kind)
    assert _read(path).has_art is is_art


def test_legacy_coverart_comment_is_art(clip: Callable[[str], Path]) -> None:
    path = clip("vorbis")
    file = OggVorbis(path)
    file["COVERART"] = base64.b64encode(picture_bytes()).decode()
    file.save()
    assert _read(path).has_art


def test_cover_in_apev2_tag_of_mp3_is_art(clip: Callable[[str], Path]) -> None:
    path = clip("mp3")
    tag = APEv2()
    tag["Cover Art (Front)"] = APEValue(b"cover.png\0" + picture_bytes(), BINARY)
    tag.save(path)
    assert _read(path).has_art


def _id3(*, art: bool, version: int = 3) -> bytes:
    tags = ID3()
    tags.add(TIT2(text="Title"))
    if art:
        tags.add(APIC(encoding=0, mime="image/png", type=3, desc="", data=picture_bytes()))
    stream = io.BytesIO()
    tags.save(stream, v1=0, v2_version=version, padding=lambda _: 0)
    return stream.getvalue()


def _footed(tag: bytes) -> bytes:
    header = tag[3:5] + b"\x10" + tag[6:10]
    return b"ID3" + header + tag[10:] + b"3DI" + header


_ART, _BARE = _id3(art=True, version=4), _id3(art=False)
_V1 = id3v1("Title")
_APE = ape_tag(item(b"Artist", b"Ana"))


def _second_chunk(size: str) -> Callable[[bytes, bytes], bytes]:
    return lambda song, tag: (
        song + b"".join(chunk(b"ID3 ", data, size=size) for data in (_BARE, tag))
    )


_FURTHER: dict[str, tuple[str, Callable[[bytes, bytes], bytes]]] = {
    "second": ("mp3", lambda song, tag: _BARE + tag + song),
    "after zeros": ("mp3", lambda song, tag: bytes(500) + tag + song),
    "before ID3v1": ("mp3", lambda song, tag: _BARE + song + _footed(tag) + _V1),
    "before APEv2": ("mp3", lambda song, tag: song + _footed(tag) + _APE + _V1),
    "FLAC": ("flac", lambda song, tag: tag + song),
    "WAV": ("wav", _second_chunk("<I")),
    "AIFF": ("aiff", _second_chunk(">I")),
    "DFF": ("dff", _second_chunk(">Q")),
}


@pytest.mark.parametrize("place", _FURTHER)
def test_cover_in_further_id3_tag_is_art(place: str, clip: Callable[[str], Path]) -> None:
    container, put = _FURTHER[place]
    path = clip(container)
    bare = path.read_bytes()
    for art in (True, False):
        path.write_bytes(put(bare, _id3(art=art, version=4)))
        track = _read(path)
        assert (track.container, track.title) == (container, "Title")
        assert (track.has_art, track.own_art) == (art, False)
        shown = [picture.data for picture in shown_pictures(path, container)]
        assert shown == [picture_bytes()] * art


@pytest.mark.parametrize("container", ["mp3", "tta"])
def test_apev2_is_read_before_id3v1(container: str, clip: Callable[[str], Path]) -> None:
    path = clip(container)
    items = {
        b"title": b"A title of more than thirty letters",
        b"ARTIST": b"Ana\0Ben",
        b"Year": b"1997",
    }
    items |= {b"Track": b"3/12", b"MUSICBRAINZ_ALBUMID": b"an id", b"Compilation": b"1"}
    tag = ape_tag(*(item(name, value) for name, value in items.items()))
    v1 = id3v1("A title of more than thirty letters", "Ana", "An album", 4)
    path.write_bytes(path.read_bytes() + tag + v1)
    track = _read(path)
    assert (track.title, track.artist) == ("A title of more than thirty letters", "Ana")
    assert (track.album, track.date, track.track_number) == ("An album", "1997", 3)
    assert (track.compilation, track.musicbrainz_album_id) == (True, "an id")


def test_missing_id3_fields_are_read_from_apev2(clip: Callable[[str], Path]) -> None:
    path = clip("mp3")
    path.write_bytes(_ART + path.read_bytes() + ape_tag(item(b"Title", b"x"), item(b"Album", b"B")))
    track = _read(path)
    assert (track.title, track.album) == ("Title", "B")


def test_aiff_text_chunks_are_read(clip: Callable[[str], Path]) -> None:
    path = clip("aiff")
    data = path.read_bytes()
    added = chunk(b"NAME", b"Title", size=">I") + chunk(b"AUTH", b"Ana", size=">I")
    head = b"FORM" + struct.pack(">I", len(data) - 8 + len(added))
    path.write_bytes(head + data[8:] + added)
    assert (_read(path).title, _read(path).artist) == ("Title", "Ana")


@pytest.mark.parametrize("container", CONTAINERS)
def test_broken_picture_is_not_art(container: str, clip: Callable[[str], Path]) -> None:
    path = clip(container)
    put_picture(path, container, b"not a picture at all" * 20)
    track = _read(path)
    assert (track.has_art, track.own_art, track.broken_art) == (False, False, True)
    put_picture(path, container, picture_bytes(), kind=0)
    track = _read(path)
    assert (track.has_art, track.broken_art) == (True, True)


@pytest.mark.parametrize("container", ["mp3", "flac", "mp4", "vorbis", "asf", "ape"])
def test_empty_picture_is_not_art(container: str, clip: Callable[[str], Path]) -> None:
    path = clip(container)
    put_picture(path, container, b"")
    assert not _read(path).has_art


def test_link_to_picture_is_neither_art_nor_broken(clip: Callable[[str], Path]) -> None:
    path = clip("mp3")
    tags = ID3()
    tags.add(APIC(mime="-->", type=3, data=b"http://example.com/cover.jpg"))
    tags.save(path)
    track = _read(path)
    assert (track.has_art, track.broken_art) == (False, False)


# Other content, and damage.


@pytest.mark.parametrize("content", [b"", b"This is not music.\n" * 100])
def test_other_content_is_not_audio(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    with pytest.raises(TagError) as caught:
        _read(path)
    assert caught.value.reason is Reason.NOT_AUDIO
    assert caught.value.path == path


def test_id3_tag_without_audio_is_unreadable(clip: Callable[[str], Path]) -> None:
    path = clip("mp3")
    put_tags(path, "mp3", _TAGS)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(TagError) as caught:
        _read(path)
    assert caught.value.reason is Reason.UNREADABLE


def test_wavpack_with_unusual_sample_rate_is_read(tmp_path: Path) -> None:
    song = encode(tmp_path / "a.wv", "wavpack", seconds=_SECONDS, sample_rate=12_345)
    tags = APEv2()
    tags["Title"] = "T"
    tags.save(song)
    assert (_read(song).title, _read(song).fault) == ("T", "")


@pytest.mark.parametrize("container", CONTAINERS)
def test_damaged_file_raises_only_tag_error(container: str, clip: Callable[[str], Path]) -> None:
    whole = clip(container)
    put_tags(whole, container, _TAGS)
    put_picture(whole, container, picture_bytes())
    content = whole.read_bytes()
    messages = []
    for number in range(30):
        whole.write_bytes(content)
        damaged = corrupted(whole, number) if number % 2 else truncated(whole, number / 30)
        try:
            _read(damaged)
        except TagError as error:
            messages.append(error.message)
    assert messages, "the damage is too small to show anything"
    assert all(messages)
    assert not [m for m in messages if m.rstrip().endswith(":") or PYTHONS_OWN.search(m)]


def test_at_most_64_mib_are_read(clip: Callable[[str], Path]) -> None:
    path = clip("mp3")
    with path.open("wb") as file:
        file.write(b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f")  # 256 MiB, and they are there
        file.truncate(300 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(TagError, match="64 MiB") as caught:
            _read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.reason is Reason.UNREADABLE
    assert peak < 80 << 20


def test_endless_parsing_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "song.mpc"
    path.write_bytes(
        b"MPCK" + b"XX\0" + bytes(100)
    )  # a packet whose size is less than its header's
    with pytest.raises(TagError) as caught:
        _read(path)
    assert caught.value.reason is Reason.UNREADABLE


def test_audio_data_is_not_read(clip: Callable[[str], Path]) -> None:
    """A sparse WAV of 1 GiB is read immediately."""
    path = clip("wav")
    size = 1 << 30
    with path.open("r+b") as file:
        file.write(b"RIFF" + struct.pack("<I", size - 8))
        file.seek(40)
        file.write(struct.pack("<I", size - 44 - 8))
        file.truncate(size)
        file.seek(size - 8)
        file.write(b"id3 " + struct.pack("<I", 0))
    tracemalloc.start()
    try:
        track = _read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert track.duration_seconds > 1000
    assert peak < 1 << 20


def test_system_error_message_is_kept(tmp_path: Path) -> None:
    with pytest.raises(TagError, match="Is a directory") as caught:
        _read(tmp_path)
    assert caught.value.reason is Reason.UNREADABLE
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("container", ["mp3", "tta", "wav", "aiff", "dsf"])
def test_tag_of_many_megabytes_is_read(container: str, clip: Callable[[str], Path]) -> None:
    path = clip(container)
    put_picture(path, container, picture_bytes("jpeg") + bytes(25 << 20))
    assert _read(path).has_art
