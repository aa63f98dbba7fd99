"""FLAC: other metadata blocks are preserved byte for byte."""

import struct
from pathlib import Path

import pytest
from mutagen.flac import FLAC

from covergen.core.album import Status
from covergen.core.reasons import Reason
from covergen.library.formats.embedded_picture import FRONT_COVER, EmbeddedPicture
from covergen.library.pictures_in_files import read_pictures
from tests.unit.library.pictures.conftest import Make
from tests.unit.library.pictures.id3_bytes import frame, tag
from tests.unit.library.written import JPEG, OTHER, PNG, large, write

STREAMINFO, PADDING, APPLICATION, SEEKTABLE, COMMENT, CUESHEET, PICTURE = range(7)
Block = tuple[int, bytes]


def blocks_of(data: bytes) -> tuple[list[Block], bytes]:
    """All metadata blocks, and the audio after them. Source: RFC 9639, section 8."""
    at, found, last = data.index(b"fLaC") + 4, [], 0
    while not last:
        last, kind = data[at] >> 7, data[at] & 127
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        found.append((kind, data[at + 4 : at + 4 + size]))
        at += 4 + size
    return found, data[at:]


def with_blocks(blocks: list[Block], audio: bytes) -> bytes:
    joined = b""
    for i, (kind, body) in enumerate(blocks):
        last = 0x80 if i == len(blocks) - 1 else 0
        joined += bytes([kind | last]) + struct.pack(">I", len(body))[1:] + body
    return b"fLaC" + joined + audio


def comment(*entries: bytes) -> bytes:
    texts = [struct.pack("<I", len(text)) + text for text in (b"a vendor", *entries)]
    return texts[0] + struct.pack("<I", len(entries)) + b"".join(texts[1:])


def picture_block(kind: int, data: bytes) -> bytes:
    mime = b"image/png"
    head = struct.pack(">II", kind, len(mime)) + mime + struct.pack(">I", 0)
    return head + struct.pack(">5I", 16, 16, 24, 0, len(data)) + data


ODD_COMMENT = comment(b"TITLE=T\xff\xfe not UTF-8", b"no equals sign", b"ti~tle=x", b"title=again")
APPLICATION_DATA = b"riff" + bytes(range(200))
CUES = bytes(395) + b"\x02"
CUES += struct.pack(">QB26xBQB3x", 0, 1, 1, 0, 1) + struct.pack(">QB26xB", 22050, 170, 0)
SEEK_POINTS = struct.pack(">QQH", 0, 0, 4096) + struct.pack(">QQH", (1 << 64) - 1, 0, 0)


def song(make: Make, *extra: Block, front: bytes = b"") -> tuple[Path, list[Block], bytes]:
    path = make("flac")
    blocks, audio = blocks_of(path.read_bytes())
    blocks = [blocks[0], *extra]
    path.write_bytes(front + with_blocks(blocks, audio))
    return path, blocks, audio


def test_other_blocks_are_preserved_and_picture_follows_comment(make: Make) -> None:
    others = (
        (APPLICATION, APPLICATION_DATA),
        (SEEKTABLE, SEEK_POINTS),
        (COMMENT, ODD_COMMENT),
        (CUESHEET, CUES),
        (PADDING, bytes(100)),
        (APPLICATION, b"twos" + bytes(5)),
    )
    path, blocks, audio = song(make, *others)

    outcome = write(path, "flac", PNG)

    assert outcome.status is Status.WRITTEN, outcome.message
    after, audio_after = blocks_of(path.read_bytes())
    assert audio_after == audio
    kinds = [kind for kind, _ in after if kind != PADDING]
    assert kinds == [STREAMINFO, APPLICATION, SEEKTABLE, COMMENT, PICTURE, CUESHEET, APPLICATION]
    assert [b for b in after if b[0] not in (PADDING, PICTURE)] == [
        b for b in blocks if b[0] != PADDING
    ]


@pytest.mark.parametrize("picture", [PNG, JPEG])
def test_picture_dimensions_are_set(make: Make, picture: type(PNG)) -> None:  # type: ignore[valid-type]  # a value's own type
    path, _, _ = song(make, (COMMENT, comment()))

    write(path, "flac", picture)

    (block,) = FLAC(path).pictures
    assert (block.type, block.mime, block.desc, block.data) == (3, picture.mime, "", picture.data)
    assert (block.width, block.height, block.depth, block.colors) == (
        picture.width,
        picture.height,
        24,
        0,
    )


def test_front_cover_comes_before_other_pictures(make: Make) -> None:
    path, _, _ = song(
        make,
        (PICTURE, picture_block(4, OTHER)),
        (PICTURE, picture_block(3, JPEG.data)),
        (COMMENT, comment(b"TITLE=T")),
        (PICTURE, picture_block(0, OTHER)),
    )

    write(path, "flac", PNG)

    after, _ = blocks_of(path.read_bytes())
    assert [k for k, _ in after if k != PADDING] == [0, COMMENT, PICTURE, PICTURE, PICTURE]
    assert read_pictures(path, "flac") == [
        EmbeddedPicture(PNG.data, FRONT_COVER),
        EmbeddedPicture(OTHER, 4),
        EmbeddedPicture(OTHER, 0),
    ]


def test_no_comment_block_is_added(make: Make) -> None:
    path, _, _ = song(make)

    assert write(path, "flac", PNG).status is Status.WRITTEN

    after, _ = blocks_of(path.read_bytes())
    assert [kind for kind, _ in after if kind != PADDING] == [STREAMINFO, PICTURE]


def test_id3_tags_around_flac_are_preserved(make: Make) -> None:
    front = tag(3, frame(3, b"TIT2", b"\0In front"), padding=30)
    path, _, audio = song(make, (COMMENT, comment(b"TITLE=T")), front=front)
    end = b"TAG" + bytes(125)
    path.write_bytes(path.read_bytes() + end)

    assert write(path, "flac", large(PNG, 100_000)).status is Status.WRITTEN

    data = path.read_bytes()
    assert data.startswith(front + b"fLaC")
    assert data.endswith(audio + end)


@pytest.mark.parametrize("spare", range(6))
def test_padding_is_used_to_the_byte(make: Make, spare: int) -> None:
    needed = 4 + len(picture_block(3, PNG.data))
    path, _, audio = song(make, (COMMENT, comment()), (PADDING, bytes(needed - 4 + spare)))
    size = path.stat().st_size

    assert write(path, "flac", PNG).status is Status.WRITTEN

    after, audio_after = blocks_of(path.read_bytes())
    assert audio_after == audio
    assert after[2] == (PICTURE, after[2][1])
    assert (path.stat().st_size == size) is (spare == 0 or spare >= 4)


def test_legacy_cover_in_comment_is_replaced(make: Make) -> None:
    path, _, _ = song(make, (COMMENT, comment(b"TITLE=T", b"COVERART=/9j/AA==", b"ARTIST=A")))
    assert [picture.kind for picture in read_pictures(path, "flac")] == [FRONT_COVER]

    assert write(path, "flac", PNG).status is Status.WRITTEN

    after, _ = blocks_of(path.read_bytes())
    assert after[1] == (COMMENT, comment(b"TITLE=T", b"ARTIST=A"))
    assert read_pictures(path, "flac") == [EmbeddedPicture(PNG.data, FRONT_COVER)]


def test_picture_of_16_mib_fails(make: Make) -> None:
    path, _, _ = song(make, (COMMENT, comment()))
    before = path.read_bytes()

    outcome = write(path, "flac", large(PNG, 1 << 24))

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.TOO_LARGE)
    assert path.read_bytes() == before


def test_block_with_wrong_size_fails(make: Make) -> None:
    path, _, _ = song(make, (COMMENT, comment(b"TITLE=T")), (PADDING, bytes(50)))
    data = bytearray(path.read_bytes())
    data[4 + 4 + 34 + 3] -= 7  # the comment block's size is too small
    path.write_bytes(data)

    outcome = write(path, "flac", PNG)

    assert outcome.status is Status.FAILED
    assert path.read_bytes() == bytes(data)
