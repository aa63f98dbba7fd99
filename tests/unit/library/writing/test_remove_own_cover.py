"""covergen's own covers are removed from every container, and nothing else changes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from covergen.core.album import Outcome, Status
from covergen.core.cover import Cover
from covergen.core.cover_encoding import Encoding, encode
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.library.formats.embedded_picture import EmbeddedPicture
from covergen.library.pictures_in_files import read_pictures
from covergen.library.read_track import read_track
from covergen.library.writing.rewrite import RewriteOptions, remove_own_cover
from tests.media import CONTAINERS, decoded_hash, put_picture
from tests.unit.library.pictures.conftest import Make, make, originals
from tests.unit.library.written import OTHER, PNG, TAG_FORMATS, same_packets, track, write
from tests.values import PROVENANCE

__all__ = ["make", "originals"]  # fixtures

TAGS = {"title": "Überfahrt 海", "artist": "Ana", "album": "Inseln", "track_number": "3/12"}
UNTYPED = "mp4"


def own() -> Picture:
    """A cover with covergen's provenance."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    return encode(Cover(pixels=noise, provenance=PROVENANCE), Encoding(format="jpeg"))


def remove(path: Path, container: str) -> Outcome:
    seen = track(path, container)
    return remove_own_cover(seen, same_sound=same_packets, options=RewriteOptions())


def tags_by_ffmpeg(path: Path) -> Mapping[str, str]:
    with av.open(path) as file:
        return {**file.metadata, **file.streams.audio[0].metadata}


def has_art(path: Path) -> bool:
    return read_track(path, path.stat()).has_art


@pytest.mark.parametrize("container", CONTAINERS)
def test_own_cover_is_removed_and_everything_else_stays(make: Make, container: str) -> None:
    path = make(container, tags=TAGS)
    sound, tags = decoded_hash(path), tags_by_ffmpeg(path)
    assert write(path, container, own()).status is Status.WRITTEN
    assert has_art(path)

    outcome = remove(path, container)

    assert (outcome.status, outcome.reason) == (Status.WRITTEN, Reason.STRIPPED), outcome.message
    assert not has_art(path)
    assert (decoded_hash(path), tags_by_ffmpeg(path)) == (sound, tags)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("container", TAG_FORMATS)
def test_other_pictures_stay(make: Make, container: str) -> None:
    path = make(container, tags=TAGS)
    put_picture(path, container, own().data)
    put_picture(path, container, OTHER, kind=4)
    sound, tags = decoded_hash(path), tags_by_ffmpeg(path)

    assert remove(path, container).reason is Reason.STRIPPED

    kind = 3 if container == UNTYPED else 4
    assert read_pictures(path, container) == [EmbeddedPicture(OTHER, kind)]
    assert (decoded_hash(path), tags_by_ffmpeg(path)) == (sound, tags)


# An APEv2 tag can contain only one front cover.
@pytest.mark.parametrize("container", [c for c in TAG_FORMATS if c != "wavpack"])
def test_only_the_own_one_of_two_front_covers_is_removed(make: Make, container: str) -> None:
    path = make(container, tags=TAGS)
    write(path, container, PNG)
    put_own_second(path, container)

    assert remove(path, container).reason is Reason.STRIPPED

    assert read_pictures(path, container) == [EmbeddedPicture(PNG.data, 3)]


def put_own_second(path: Path, container: str) -> None:
    put_picture(path, container, own().data, kind=3)
    if (
        len(read_pictures(path, container)) == 1
    ):  # ID3 frames with the same description replace each other
        write(path, container, PNG)
        put_picture(path, container, own().data, kind=0)
    assert {p.data for p in read_pictures(path, container)} == {PNG.data, own().data}


@pytest.mark.parametrize("container", TAG_FORMATS)
@pytest.mark.parametrize("picture", [None, PNG], ids=["none", "another"])
def test_file_without_own_cover_is_not_touched(
    make: Make, container: str, picture: Picture | None
) -> None:
    path = make(container, tags=TAGS)
    if picture:
        put_picture(path, container, picture.data)
    before = path.read_bytes(), path.stat()

    outcome = remove(path, container)

    assert (outcome.status, outcome.reason) == (Status.UNCHANGED, Reason.NOT_OWN)
    assert (path.read_bytes(), path.stat()) == before


@pytest.mark.parametrize(
    "container", ["mp3", "tta", "wav", "aiff", "dsf", "dff", "ape", "wavpack", "musepack"]
)
def test_tag_created_for_the_cover_is_removed_with_it(make: Make, container: str) -> None:
    path = make(container)
    original = path.read_bytes()
    write(path, container, own())

    remove(path, container)

    assert path.read_bytes() == original


def test_removing_a_large_cover_frees_its_space(make: Make) -> None:
    for container in TAG_FORMATS:
        path = make(container, tags=TAGS, name=container)
        size = path.stat().st_size
        cover = own()
        large = replace(cover, data=cover.data + bytes(300_000))
        assert write(path, container, large).status is Status.WRITTEN

        assert remove(path, container).reason is Reason.STRIPPED

        assert path.stat().st_size < size + (8 << 10), container
