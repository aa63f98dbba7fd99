"""Matroska: the cover is attached, nothing else moves, and the index refers to it."""

import io
from fractions import Fraction
from pathlib import Path

import av
import pytest

from covergen.audio.same_sound import same_sound
from covergen.core.album import Status
from covergen.core.errors import TagError
from covergen.core.reasons import Reason
from covergen.library.formats.embedded_picture import FRONT_COVER, EmbeddedPicture
from covergen.library.pictures_in_files import read_pictures
from covergen.library.read_track import read_track
from covergen.library.writing.reversal import find_reversal
from covergen.library.writing.rewrite import RewriteOptions, remove_own_cover
from tests.media import decoded_hash, encode, sound
from tests.media.matroska import remuxed
from tests.unit.library.pictures.matroska_bytes import (
    ATTACHMENTS,
    CUES,
    SEEK_HEAD,
    VOID,
    Item,
    attachments,
    checked,
    element,
    segment_of,
)
from tests.unit.library.writing.test_remove_own_cover import own
from tests.unit.library.written import JPEG, OTHER, PNG, large, track, write

TAGS = {"title": "T", "artist": "A", "album": "B"}
ATTACHED = [
    ("small_cover.png", "image/png", OTHER),
    ("cover.png", "image/png", OTHER),
    ("a.ttf", "font/ttf", OTHER),
    ("back.png", "image/png", OTHER),
    ("cover_land.png", "image/png", OTHER),
]
TAGS_LIST, CHAPTERS, SEGMENT = 0x1254C367, 0x1043A770, 0x18538067


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("song") / "a.mka", "matroska", sound("chord", 4.0)[:1])


@pytest.fixture
def path(song: Path, tmp_path: Path) -> Path:
    """A file with several clusters, an index and free space after it."""
    return remuxed(song, tmp_path / "song.mka", tags=TAGS, cluster_time_limit="500")


def without_room(data: bytes) -> bytes:
    """The same file with chapters instead of the free space after its index."""
    head, void = checked(data)[:2]
    assert (head.id, void.id) == (SEEK_HEAD, VOID)
    inner = element(VOID, bytes(void.end - void.start - 12 - 9), 8)
    return data[: void.start] + element(CHAPTERS, inner, 8) + data[void.end :]


def without_seek_head(data: bytes) -> bytes:
    """The same file with free space instead of its index of top-level elements."""
    head = checked(data)[0]
    return (
        data[: head.start] + element(VOID, bytes(head.end - head.start - 9), 8) + data[head.end :]
    )


def packets_after(path: Path, seconds: Fraction) -> tuple[int | None, bytes]:
    """The packet to which FFmpeg seeks, using the index."""
    with av.open(path) as file:
        stream = file.streams.audio[0]
        assert stream.time_base
        file.seek(int(seconds / stream.time_base), stream=stream)
        packet = next(file.demux(stream))
        return packet.pts, bytes(packet)


def others(items: list[Item]) -> list[tuple[int, int]]:
    """The elements that must stay, with their positions."""
    return [(i.id, i.start) for i in items if i.id not in (VOID, ATTACHMENTS)]


@pytest.mark.parametrize("layout", ["plain", "cues first", "without room", "attachments"])
def test_every_layout_stays_consistent(song: Path, tmp_path: Path, layout: str) -> None:
    path = tmp_path / "song.mka"
    options = {"reserve_index_space": "900"} if layout == "cues first" else {}
    attached = ATTACHED if layout == "attachments" else []
    remuxed(song, path, tags=TAGS, attachments=attached, cluster_time_limit="500", **options)
    if layout == "without room":
        path.write_bytes(without_room(path.read_bytes()))
    music, before = decoded_hash(path), others(checked(path.read_bytes()))
    times = [Fraction(n, 2) for n in range(8)]
    found = [packets_after(path, time) for time in times]

    for picture in (large(PNG, 70_000), JPEG, large(PNG, 100_000), PNG):
        old = path.read_bytes()
        (copy := path.with_name("old")).write_bytes(old)

        outcome = write(path, "matroska", picture, same_sound=same_sound)

        assert outcome.status is Status.WRITTEN, outcome.message
        name = "cover.jpg" if picture is JPEG else "cover.png"
        kept = [file for file in attached if "cover" not in file[0]]
        assert attachments(path.read_bytes()) == [(name, picture.mime, picture.data), *kept]
        assert others(checked(path.read_bytes())) == before
        assert decoded_hash(path) == music
        assert [packets_after(path, time) for time in times] == found
        reversal = find_reversal(copy, path)
        assert reversal is not None
        (restored := path.with_name("restored")).write_bytes(path.read_bytes())
        reversal.apply(restored)
        assert restored.read_bytes() == old


def streamed(source: Path, muxer: str, *, live: bool) -> bytes:
    """The same packets as FFmpeg writes them to a pipe, or to a file."""
    out = io.BytesIO()
    out.seekable = lambda: not live  # type: ignore[method-assign]  # a pipe, to PyAV
    options = {"live": "1"} if live else {}
    with (
        av.open(source) as file,
        av.open(out, "w", format=muxer, container_options=options) as new,
    ):
        stream = new.add_stream_from_template(file.streams.audio[0])
        for packet in file.demux(audio=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    return out.getvalue()


@pytest.mark.parametrize("muxer", ["matroska", "webm"])
@pytest.mark.parametrize("live", [True, False])
def test_cover_is_written_to_ffmpeg_streams(tmp_path: Path, muxer: str, *, live: bool) -> None:
    opus = encode(tmp_path / "a.opus", "opus", seconds=3.0, tags=TAGS)
    path = tmp_path / "song.webm"
    path.write_bytes(streamed(opus, muxer, live=live))
    assert (segment_of(path.read_bytes()).size == -1) is live
    music = decoded_hash(path)

    for picture in (PNG, large(JPEG, 50_000)):
        outcome = write(path, "matroska", picture, same_sound=same_sound)

        assert outcome.status is Status.WRITTEN, outcome.message
        assert read_pictures(path, "matroska") == [EmbeddedPicture(picture.data, FRONT_COVER)]
        assert attachments(path.read_bytes())[0][2] == picture.data
        assert decoded_hash(path) == music
        with av.open(path) as file:
            assert [s.metadata["filename"] for s in file.streams.video] == [
                f"cover{picture.extension}"
            ]


def test_cover_is_written_to_truncated_stream(song: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.webm"
    path.write_bytes(streamed(song, "matroska", live=True)[:-2_000])
    before = path.read_bytes()

    outcome = write(path, "matroska", PNG)

    assert outcome.status is Status.WRITTEN, outcome.message
    assert path.read_bytes().endswith(before[-20_000:])


def test_truncated_file_raises_tag_error(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2_000])

    with pytest.raises(TagError, match="the end of the file is missing"):
        read_track(path, path.stat())


def test_segment_size_field_grows(path: Path) -> None:
    data = path.read_bytes()
    segment = segment_of(data)
    path.write_bytes(data[: segment.start] + element(SEGMENT, data[segment.body :], 3))
    music = decoded_hash(path)

    outcome = write(path, "matroska", large(PNG, 2 << 20))

    assert outcome.status is Status.WRITTEN, outcome.message
    assert attachments(path.read_bytes())[0][2] == large(PNG, 2 << 20).data
    assert decoded_hash(path) == music


def test_index_that_cannot_refer_to_a_cover_fails(path: Path) -> None:
    path.write_bytes(without_seek_head(path.read_bytes()))
    before = path.read_bytes()
    assert CUES in {item.id for item in checked(before)}

    outcome = write(path, "matroska", PNG)

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.TOO_LARGE)
    assert "mkvmerge" in outcome.message
    assert path.read_bytes() == before


def test_kinds_of_attachments(song: Path, tmp_path: Path) -> None:
    path = remuxed(song, tmp_path / "song.mka", attachments=ATTACHED)
    assert [p.kind for p in read_pictures(path, "matroska")] == [3, 3, 4, 3]


def test_empty_attachment_list_is_removed(path: Path) -> None:
    before, size = others(checked(path.read_bytes())), path.stat().st_size
    write(path, "matroska", own())

    outcome = remove_own_cover(
        track(path, "matroska"), same_sound=same_sound, options=RewriteOptions()
    )

    assert outcome.reason is Reason.STRIPPED
    items = checked(path.read_bytes())
    assert (others(items), path.stat().st_size) == (before, size)
    assert ATTACHMENTS not in {item.id for item in items}


def simple(name: str, text: str) -> bytes:
    return element(0x67C8, element(0x45A3, name.encode()) + element(0x4487, text.encode()))


def tag(*texts: tuple[str, str], level: int = 0, chapter: int = 0) -> bytes:
    targets = element(0x68CA, bytes([level])) if level else b""
    targets += element(0x63C4, bytes([chapter])) if chapter else b""
    return element(0x7373, element(0x63C0, targets) + b"".join(simple(*text) for text in texts))


def test_tag_target_levels(path: Path) -> None:
    """As written by mkvpropedit, Mp3tag and TagLib: 50 is the album, 30 the track."""
    tags = (
        tag(("TITLE", "Chapter"), level=30, chapter=1),
        tag(
            ("TITLE", "Album"),
            ("ARTIST", "Band"),
            ("DATE_RELEASED", "1997-05-21"),
            ("PART_NUMBER", "2"),
            level=50,
        ),
        tag(("title", "Song"), ("ARTIST", "Singer"), ("PART_NUMBER", "7"), level=30),
    )
    data = path.read_bytes()
    (old,) = [item for item in checked(data) if item.id == TAGS_LIST]
    data = data[: old.start] + element(VOID, bytes(old.end - old.start - 9), 8) + data[old.end :]
    segment = segment_of(data)
    body = data[segment.body :] + element(TAGS_LIST, b"".join(tags))
    path.write_bytes(data[: segment.start] + element(SEGMENT, body, 8))

    found = read_track(path, path.stat())

    assert (found.title, found.artist) == ("Song", "Singer")
    assert (found.album, found.album_artist, found.date) == ("Album", "Band", "1997-05-21")
    assert (found.track_number, found.disc_number) == (7, 2)
    assert found.duration_seconds == pytest.approx(4.0, abs=0.1)
