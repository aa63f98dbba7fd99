"""APEv2: other items and a following ID3v1 tag are preserved byte for byte."""

import struct

import pytest
from mutagen.apev2 import APEv2

from covergen.core.album import Status
from covergen.library.formats.embedded_picture import FRONT_COVER, EmbeddedPicture
from covergen.library.pictures_in_files import read_pictures
from covergen.library.writing.rewrite import SameSound
from tests.unit.library.pictures.conftest import Make
from tests.unit.library.pictures.tag_bytes import ape_tag, id3v1, item
from tests.unit.library.written import OTHER, PNG, write

APE = ("ape", "wavpack", "musepack")
ID3V1 = id3v1("Old title")


def same_beginning(length: int) -> SameSound:
    """Compare the audio. FFmpeg may take a following ID3v1 tag for damaged audio."""
    return lambda one, other: one.read_bytes()[:length] == other.read_bytes()[:length]


ITEMS = (
    item(b"Title", "Überfahrt".encode()),
    item(b"ARTIST", b"one\0two"),
    item(b"Read Only", b"x", flags=1),
    item(b"Related", b"http://example.org", flags=4),
    item(b"Blob", bytes(range(256)), flags=2),
    item(b"Cover Art (Back)", b"back.png\0" + OTHER, flags=2),
)


@pytest.mark.parametrize("container", APE)
@pytest.mark.parametrize("header", [True, False])
def test_other_items_are_preserved(make: Make, container: str, header: bool) -> None:
    path = make(container)
    bare = path.read_bytes()
    front = item(b"COVER ART (FRONT)", b"old.png\0" + OTHER, flags=2)
    path.write_bytes(bare + ape_tag(*ITEMS[:2], front, *ITEMS[2:], header=header) + ID3V1)

    outcome = write(path, container, PNG, same_sound=same_beginning(len(bare)))

    assert outcome.status is Status.WRITTEN, outcome.message
    new = item(b"Cover Art (Front)", b"cover.png\0" + PNG.data, flags=2)
    assert path.read_bytes() == bare + ape_tag(*ITEMS[:-1], new, ITEMS[-1]) + ID3V1
    assert read_pictures(path, container) == [
        EmbeddedPicture(PNG.data, FRONT_COVER),
        EmbeddedPicture(OTHER, 4),
    ]


@pytest.mark.parametrize("container", APE)
def test_new_tag_is_written_before_id3v1(make: Make, container: str) -> None:
    path = make(container)
    bare = path.read_bytes()
    path.write_bytes(bare + ID3V1)

    outcome = write(path, container, PNG, same_sound=same_beginning(len(bare)))

    assert outcome.status is Status.WRITTEN, outcome.message
    assert path.read_bytes().startswith(bare)
    assert path.read_bytes().endswith(ID3V1)
    assert APEv2(path)["Cover Art (Front)"].value == b"cover.png\0" + PNG.data


def test_item_count_that_is_too_high_is_corrected(make: Make) -> None:
    path = make("musepack")
    bare = path.read_bytes()
    tag = bytearray(ape_tag(*ITEMS[:3], header=False))
    struct.pack_into("<I", tag, len(tag) - 16, 5)
    path.write_bytes(bare + tag)

    outcome = write(path, "musepack", PNG, same_sound=same_beginning(len(bare)))

    assert outcome.status is Status.WRITTEN, outcome.message
    new = item(b"Cover Art (Front)", b"cover.png\0" + PNG.data, flags=2)
    assert path.read_bytes() == bare + ape_tag(*ITEMS[:3], new)


@pytest.mark.parametrize(
    "tag",
    [
        ape_tag(item(b"Title", b"T"))[:-20] + bytes(4) + ape_tag(item(b"Title", b"T"))[-16:],
        ape_tag(item(b"Title", "ä".encode("latin-1")), header=False, version=1000),
        ape_tag(item(b"Title", b"T") + b"left over"),
    ],
    ids=["count", "latin-1", "rest"],
)
def test_unsupported_tag_is_not_changed(make: Make, tag: bytes) -> None:
    path = make("wavpack")
    path.write_bytes(path.read_bytes() + tag)
    before = path.read_bytes()

    assert write(path, "wavpack", PNG).status is Status.FAILED

    assert path.read_bytes() == before
