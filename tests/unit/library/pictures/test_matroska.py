"""Matroska: the cover is attached, clusters are preserved, and positions are updated."""

import io
from fractions import Fraction
from pathlib import Path

import av
import pytest

from covergen.audio.same_sound import same_sound
from covergen.core.errors import TagError
from covergen.core.reasons import Reason
from covergen.core.types import Status
from covergen.library.pictures import FRONT_COVER, EmbeddedPicture, read_pictures
from covergen.library.tags import read_track
from covergen.library.writing.reversal import find_reversal
from covergen.library.writing.rewrite import RewriteOptions, remove_own_cover
from tests.media import decoded_hash, encode, sound
from tests.media.matroska import remuxed
from tests.unit.library.pictures.matroska_bytes import (
    ATTACHMENTS,
    CLUSTER,
    CUES,
    SEEK_HEAD,
    VOID,
    Item,
    attachments,
    checked,
    element,
    laid_out,
    segment_of,
)
from tests.unit.library.writing.test_remove_own_cover import own
from tests.unit.library.written import JPEG, OTHER, PNG, large, track, write

TAGS = {"title": "T", "artist": "A", "album": "B"}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with several clusters and an index."""
    folder = tmp_path_factory.mktemp("matroska")
    song = encode(folder / "a.mka", "matroska", sound("chord", 4.0)[:1])
    return remuxed(song, folder / "song.mka", tags=TAGS, cluster_time_limit="500")


def attached(*names: str) -> bytes:
    """The body of an Attachments element."""
    parts = (
        element(0x466E, name.encode())
        + element(0x4660, b"image/png" if name.endswith("png") else b"font/ttf")
        + element(0x46AE, b"\x07")
        + element(0x465C, OTHER)
        for name in names
    )
    return b"".join(element(0x61A7, part) for part in parts)


def packets_after(path: Path, seconds: Fraction) -> tuple[int | None, bytes]:
    """The packet to which FFmpeg seeks, using the index."""
    with av.open(path) as file:
        stream = file.streams.audio[0]
        assert stream.time_base
        file.seek(int(seconds / stream.time_base), stream=stream)
        packet = next(file.demux(stream))
        return packet.pts, bytes(packet)


LAYOUTS = {
    "SVITGCQ": {"void": 60},
    "SVITGCQ, little room": {"void": 12},
    "SITGCQ": {},
    "SITGCQ, short size": {"width": 4},
    "SQITGC": {},
    "ITGCQ": {},
    "SITGVC": {"void": 5000},
    "SITGCQ, positions": {"positions": True},
    "SVITCQG": {"void": 60},
    "ITGC": {"width": 0},
    "SITGAC": {"tail": attached("cover.png", "a.ttf", "back.png")},
    "SITGAVC": {"tail": attached("a.ttf"), "void": 70_000},
    "SITGCQA": {"tail": attached("a.ttf", "cover.png")},
    "SVITGCAQ": {"tail": attached("cover.png"), "void": 60},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [0, 70_000])
def test_every_layout_stays_consistent(
    original: Path, tmp_path: Path, layout: str, size: int
) -> None:
    path, options = tmp_path / "song.mka", LAYOUTS[layout]
    path.write_bytes(laid_out(original.read_bytes(), layout.partition(",")[0], **options))  # type: ignore[arg-type]  # of several types
    before = checked(path.read_bytes())
    old, music = attachments(path.read_bytes()), decoded_hash(path)
    times = [Fraction(n, 2) for n in range(8)]
    found = [packets_after(path, time) for time in times]
    whole = path.read_bytes()
    copy = path.with_name("before")

    for picture in (large(PNG, max(size, len(PNG.data))), JPEG, large(PNG, 100_000), PNG):
        copy.write_bytes(path.read_bytes())

        outcome = write(path, "matroska", picture, same_sound=same_sound)

        assert outcome.status is Status.WRITTEN, outcome.message
        name = "cover.jpg" if picture is JPEG else "cover.png"
        others = [file for file in old if not file[0].startswith("cover")]
        assert attachments(path.read_bytes()) == [(name, picture.mime, picture.data), *others]
        assert decoded_hash(path) == music
        if "S" in layout or "Q" not in layout:  # otherwise FFmpeg finds the index too late
            assert [packets_after(path, time) for time in times] == found
        reversal = find_reversal(copy, path)
        assert reversal is not None
        (restored := path.with_name("restored")).write_bytes(path.read_bytes())
        reversal.apply(restored)
        assert restored.read_bytes() == copy.read_bytes()
    after = checked(path.read_bytes())
    assert sizes(after, CLUSTER) == sizes(before, CLUSTER)
    assert len(sizes(after, CUES)) == len(sizes(before, CUES))
    assert (segment_of(path.read_bytes()).size == -1) == (segment_of(whole).size == -1)


def sizes(items: list[Item], name: int) -> list[int]:
    return [item.end - item.start for item in items if item.id == name]


@pytest.mark.parametrize("layout", ["SVITGCQ", "SITGCQ"])
def test_undo_data_is_small(original: Path, tmp_path: Path, layout: str) -> None:
    """The clusters move as a whole, so their bytes are not stored."""
    path = tmp_path / "song.mka"
    path.write_bytes(laid_out(original.read_bytes(), layout, void=60))
    (before := path.with_name("before")).write_bytes(path.read_bytes())

    assert write(path, "matroska", large(PNG, 200_000)).status is Status.WRITTEN

    reversal = find_reversal(before, path)
    assert reversal is not None
    assert len(reversal.pack()) < 2_000


def test_void_is_used_before_clusters_move(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.mka"
    path.write_bytes(laid_out(original.read_bytes(), "SVITGVC", void=5_000))
    before = path.read_bytes()

    assert write(path, "matroska", PNG).status is Status.WRITTEN

    after = path.read_bytes()
    assert len(after) == len(before)
    start = next(item.start for item in checked(before) if item.id == CLUSTER)
    assert after[start:] == before[start:]


@pytest.mark.parametrize("muxer", ["matroska", "webm"])
@pytest.mark.parametrize("live", [True, False])
def test_cover_is_written_to_ffmpeg_streams(tmp_path: Path, muxer: str, *, live: bool) -> None:
    opus = encode(tmp_path / "a.opus", "opus", seconds=3.0, tags=TAGS)
    out = io.BytesIO()
    out.seekable = lambda: not live  # type: ignore[method-assign]  # a pipe, to PyAV
    with av.open(opus) as file:
        options = {"live": "1"} if live else {}
        with av.open(out, "w", format=muxer, container_options=options) as new:
            stream = new.add_stream_from_template(file.streams.audio[0])
            for packet in file.demux(audio=0):
                if packet.size:
                    packet.stream = stream
                    new.mux(packet)
    path = tmp_path / "song.webm"
    path.write_bytes(out.getvalue())
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


def test_cover_is_written_to_truncated_stream(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.mka"
    path.write_bytes(laid_out(original.read_bytes(), "ITGC", width=0)[:-2_000])
    before = path.read_bytes()

    outcome = write(path, "matroska", PNG)

    assert outcome.status is Status.WRITTEN, outcome.message
    assert path.read_bytes().endswith(before[-20_000:])


def test_truncated_file_raises_tag_error(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.mka"
    path.write_bytes(original.read_bytes()[:-2_000])

    with pytest.raises(TagError, match="the end of the file is missing"):
        read_track(path, path.stat())


def test_segment_size_field_grows(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.mka"
    path.write_bytes(laid_out(original.read_bytes(), "SITGCQ", width=3))
    music = decoded_hash(path)

    outcome = write(path, "matroska", large(PNG, 2 << 20))

    assert outcome.status is Status.WRITTEN, outcome.message
    assert attachments(path.read_bytes())[0][2] == large(PNG, 2 << 20).data
    assert decoded_hash(path) == music


def test_index_that_cannot_be_moved_fails(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.mka"
    path.write_bytes(laid_out(original.read_bytes(), "SITGCAQ", tail=attached("a.ttf")))
    before = path.read_bytes()

    outcome = write(path, "matroska", large(PNG, 17 << 20))

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.TOO_LARGE)
    assert path.read_bytes() == before


def test_all_variants_of_the_cover_are_replaced(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.mka"
    names = ("small_cover.png", "cover.png", "back.png", "a.ttf", "cover_land.png")
    path.write_bytes(laid_out(original.read_bytes(), "SITGAC", tail=attached(*names)))
    assert [p.kind for p in read_pictures(path, "matroska")] == [3, 3, 4, 3]

    write(path, "matroska", JPEG)

    assert [name for name, _, _ in attachments(path.read_bytes())] == [
        "cover.jpg",
        "back.png",
        "a.ttf",
    ]


def test_empty_attachment_list_is_removed(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.mka"
    path.write_bytes(laid_out(original.read_bytes(), "SVITGCQ", void=60))
    music = decoded_hash(path)
    write(path, "matroska", own())

    outcome = remove_own_cover(
        track(path, "matroska"), same_sound=same_sound, options=RewriteOptions()
    )

    assert outcome.reason is Reason.STRIPPED
    items = checked(path.read_bytes())
    assert ATTACHMENTS not in {item.id for item in items}
    assert SEEK_HEAD in {item.id for item in items}
    assert decoded_hash(path) == music


def simple(name: str, text: str) -> bytes:
    return element(0x67C8, element(0x45A3, name.encode()) + element(0x4487, text.encode()))


def tag(*texts: tuple[str, str], level: int = 0, chapter: int = 0) -> bytes:
    targets = element(0x68CA, bytes([level])) if level else b""
    targets += element(0x63C4, bytes([chapter])) if chapter else b""
    return element(0x7373, element(0x63C0, targets) + b"".join(simple(*text) for text in texts))


def test_tag_target_levels(original: Path, tmp_path: Path) -> None:
    """As written by mkvpropedit, Mp3tag and TagLib: 50 is the album, 30 the track."""
    path = tmp_path / "song.mka"
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
    data = original.read_bytes()
    whole = laid_out(data, "SITCQ")
    size = segment_of(whole)
    body = whole[size.body :] + element(0x1254C367, b"".join(tags))
    path.write_bytes(whole[: size.start] + element(0x18538067, body, 8))

    found = read_track(path, path.stat())

    assert (found.title, found.artist) == ("Song", "Singer")
    assert (found.album, found.album_artist, found.date) == ("Album", "Band", "1997-05-21")
    assert (found.track_number, found.disc_number) == (7, 2)
    assert found.duration_seconds == pytest.approx(4.0, abs=0.1)


def test_void_is_left_for_the_next_cover(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.mka"
    path.write_bytes(original.read_bytes())
    write(path, "matroska", large(PNG, 30_000))
    size = path.stat().st_size

    write(path, "matroska", large(PNG, 29_000))

    assert path.stat().st_size == size
    assert VOID in {item.id for item in checked(path.read_bytes())}
