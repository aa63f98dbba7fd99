"""Behavior that is the same for every container."""

from pathlib import Path

import av
import pytest

from covergen.core.album import Status
from covergen.core.cover_encoding import shrunk_to_fit
from covergen.core.errors import TagError
from covergen.core.reasons import Reason
from covergen.library.containers import growth, most_shown_bytes
from covergen.library.formats.embedded_picture import FRONT_COVER, EmbeddedPicture, is_front_cover
from covergen.library.pictures_in_files import read_pictures, remaining
from tests.media import CONTAINERS, EXTENSION, decoded_hash, put_picture
from tests.unit.library.pictures.conftest import Make
from tests.unit.library.written import JPEG, OTHER, PNG, TAG_FORMATS, large, write

TAGS = {
    "title": "Überfahrt 海",
    "artist": "Ana",
    "album": "Inseln",
    "date": "1997",
    "track_number": "3/12",
    "compilation": "1",
}
SHOWN_BY_FFMPEG = [container for container in CONTAINERS if container != "dff"]


def attached_pictures(path: Path) -> list[bytes]:
    """All pictures that FFmpeg finds in a file."""
    with av.open(path) as file:
        found = [s for s in file.streams if s.disposition & av.stream.Disposition.attached_pic]
        return [bytes(next(file.demux(stream))) for stream in found]


def tags_by_ffmpeg(path: Path) -> dict[str, str]:
    with av.open(path) as file:
        return {**file.metadata, **file.streams.audio[0].metadata}


@pytest.mark.parametrize("container", TAG_FORMATS)
@pytest.mark.parametrize("broken", [b"", b"not a picture at all" * 20], ids=["empty", "garbage"])
def test_broken_front_cover_is_replaced(
    tmp_path: Path, make: Make, container: str, broken: bytes
) -> None:
    path = make(container, tags=TAGS)
    put_picture(path, container, broken)
    sound = decoded_hash(path)

    outcome = write(path, container, PNG)

    assert outcome.status is Status.WRITTEN, outcome.message
    assert read_pictures(path, container) == [EmbeddedPicture(PNG.data, FRONT_COVER)]
    assert decoded_hash(path) == sound


@pytest.mark.parametrize("container", CONTAINERS)
def test_cover_is_written_and_everything_else_stays(
    tmp_path: Path, make: Make, container: str
) -> None:
    path = make(container, tags=TAGS)
    sound, tags = decoded_hash(path), tags_by_ffmpeg(path)

    outcome = write(path, container, PNG)

    assert (outcome.status, outcome.reason) == (Status.WRITTEN, Reason.WRITTEN), outcome.message
    assert read_pictures(path, container) == [EmbeddedPicture(PNG.data, FRONT_COVER)]
    assert decoded_hash(path) == sound
    assert tags_by_ffmpeg(path) == tags
    if container in SHOWN_BY_FFMPEG:
        assert attached_pictures(path) == [PNG.data]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("container", CONTAINERS)
def test_front_cover_is_replaced_and_other_pictures_stay(make: Make, container: str) -> None:
    path = make(container, tags=TAGS)
    put_picture(path, container, JPEG.data, kind=FRONT_COVER)
    back = [] if container == "mp4" else [EmbeddedPicture(OTHER, 4)]
    if back:
        put_picture(path, container, OTHER, kind=4)
    sound = decoded_hash(path)

    outcome = write(path, container, PNG)

    assert outcome.status is Status.WRITTEN, outcome.message
    assert read_pictures(path, container) == [EmbeddedPicture(PNG.data, FRONT_COVER), *back]
    if container in SHOWN_BY_FFMPEG:  # and the first is what players show
        assert attached_pictures(path) == [PNG.data, *(picture.data for picture in back)]
    assert decoded_hash(path) == sound


@pytest.mark.parametrize("container", CONTAINERS)
def test_repeated_writes_preserve_everything(make: Make, container: str) -> None:
    path = make(container, tags=TAGS)
    sound, tags = decoded_hash(path), tags_by_ffmpeg(path)

    for picture in (large(PNG, 250_000), JPEG, large(JPEG, 70_001), PNG, large(PNG, 2_000)):
        assert write(path, container, picture).status is Status.WRITTEN
        shown = shrunk_to_fit(picture, most_shown_bytes(container)).data
        assert read_pictures(path, container) == [EmbeddedPicture(shown, FRONT_COVER)]

    assert decoded_hash(path) == sound
    assert tags_by_ffmpeg(path) == tags
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("container", CONTAINERS)
def test_file_grows_as_estimated(make: Make, container: str) -> None:
    path = make(container, tags=TAGS)
    before = path.stat().st_size
    picture = large(PNG, most_shown_bytes(container) or 1_000_000)

    assert write(path, container, picture).status is Status.WRITTEN

    grown = path.stat().st_size - before
    assert grown == pytest.approx(growth(container) * len(picture.data), rel=0.02)


@pytest.mark.parametrize("container", TAG_FORMATS)
def test_equal_picture_is_not_written_again(make: Make, container: str) -> None:
    path = make(container, tags=TAGS)
    write(path, container, PNG)
    before = path.stat()

    outcome = write(path, container, PNG)

    assert (outcome.status, outcome.reason) == (Status.UNCHANGED, Reason.EQUAL)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("container", TAG_FORMATS)
def test_remaining_detects_a_changed_tag(make: Make, container: str) -> None:
    path = make(container, tags=TAGS)
    other = make(container, tags={**TAGS, "title": "Überfahrt 洋"}, name="other")

    def rest(song: Path) -> object:
        return remaining(song, container, is_front_cover)

    assert rest(path) == rest(path)
    assert rest(path) != rest(other)


@pytest.mark.parametrize("container", CONTAINERS)
def test_other_content_raises_tag_error(tmp_path: Path, container: str) -> None:
    path = tmp_path / f"noise{EXTENSION[container]}"
    path.write_bytes(b"this is not music\n" * 50)

    with pytest.raises(TagError):
        read_pictures(path, container)
    with pytest.raises(TagError):
        remaining(path, container, is_front_cover)
