"""ID3v2: other frames are preserved byte for byte."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import av
import pytest
from mutagen.id3 import ID3

from covergen.core.album import Status
from covergen.core.reasons import Reason
from covergen.library.formats.embedded_picture import FRONT_COVER, EmbeddedPicture
from covergen.library.pictures_in_files import read_pictures
from tests.media import decoded_hash
from tests.unit.library.pictures.conftest import Make
from tests.unit.library.pictures.id3_bytes import Frame, frame, read_tag, synchsafe, tag
from tests.unit.library.written import JPEG, OTHER, PNG, large, write

UTF16_TITLE = b"\x01" + "Titel ß".encode("utf-16")
FRAMES_23 = [
    (b"TIT2", UTF16_TITLE),
    (b"TYER", b"\0001997"),
    (b"TDAT", b"\0002105"),
    (b"TSOP", b"\0Sorted"),
    (b"TPE1", b"\0One\0Two"),
    (b"TXXX", b"\0\0"),
    (b"TENC", b"\0"),
    (b"XABC", b"\x07\x08 no frame that anyone knows \xff\xe0"),
    (b"TCON", b"\0(17)Rock"),
    (b"PRIV", b"owner\0" + bytes(range(256))),
    (b"COMM", b"\0eng\0first"),
    (b"COMM", b"\0eng\0second of the same description"),
    (b"POPM", b"x@y\0\xff\0\0\0\x05"),
]
ID3V1 = b"TAG" + b"Old title".ljust(30, b"\0") + b"Old artist".ljust(30) + bytes(64) + b"\x11"


def picture_frame(version: int, kind: int, data: bytes, text: bytes = b"\0") -> bytes:
    if version == 2:
        return frame(2, b"PIC", b"\0PNG" + bytes([kind]) + text + data)
    return frame(version, b"APIC", b"\0image/png\0" + bytes([kind]) + text + data)


def song(make: Make, before: bytes = b"", after: bytes = b"") -> Path:
    path = make("mp3")
    path.write_bytes(before + path.read_bytes() + after)
    return path


def cover_frame(data: bytes, mime: bytes = b"image/png") -> Frame:
    """Type 3, and an empty description in Latin-1."""
    return Frame(b"APIC", b"\0\0", b"\0" + mime + b"\0\x03\0" + data)


FRAMES_24 = [*FRAMES_23, (b"TDRC", b"\x031997-05-21"), (b"TIPL", b"\x03a\0b")]
TEXT = b"\0" + b"x" * 300
PACKED = struct.pack(">I", len(TEXT)) + zlib.compress(TEXT)
FLAGGED = frame(3, b"TIT3", PACKED, b"\0\x80") + frame(3, b"TIT1", b"\x01\0x", b"\x40\x20")
COVER = b"\0image/png\0\x03\0" + OTHER
PACKED_COVER = struct.pack(">I", len(COVER)) + zlib.compress(COVER)
PRIVATE = b"x\0\xff\xe0\xff\0\xff\xff\xe5"
UNSYNCHRONISED = b"x\0\xff\0\xe0\xff\0\0\xff\0\xff\0\xe5"
TITLE = frame(4, b"TIT2", b"\x03T")
EXTENDED = b"ID3\x04\0\x50" + synchsafe(6 + len(TITLE)) + synchsafe(6) + b"\x01\x00" + TITLE


def joined(version: int, frames: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(frame(version, name, body) for name, body in frames)


# A tag, and the frames that are left of it beside the cover.
PRESERVED = {
    "2.3": (tag(3, joined(3, FRAMES_23), padding=300), joined(3, FRAMES_23)),
    "2.4": (tag(4, joined(4, FRAMES_24), padding=300), joined(4, FRAMES_24)),
    "flags": (tag(3, FLAGGED + frame(3, b"APIC", PACKED_COVER, b"\0\x80")), FLAGGED),
    "unsynchronised 2.3": (
        tag(3, b"PRIV" + struct.pack(">I", len(PRIVATE)) + b"\0\0" + UNSYNCHRONISED, flags=0x80),
        frame(3, b"PRIV", PRIVATE),
    ),
    "extended header and footer": (EXTENDED + b"3DI" + EXTENDED[3:10], TITLE),
    "plain sizes in 2.4": (
        tag(4, frame(3, b"TIT2", TEXT) + TITLE),
        frame(4, b"TIT2", TEXT) + TITLE,
    ),
}


@pytest.mark.parametrize(("before", "kept"), PRESERVED.values(), ids=PRESERVED)
def test_other_frames_are_preserved(make: Make, before: bytes, kept: bytes) -> None:
    path = song(make, before)
    sound = decoded_hash(path)

    outcome = write(path, "mp3", PNG)

    assert (outcome.status, outcome.message) == (Status.WRITTEN, "")
    after = read_tag(path.read_bytes())
    assert (after.version, after.flags) == (before[3], 0)
    assert after.frames == [*read_tag(tag(before[3], kept)).frames, cover_frame(PNG.data)]
    assert path.read_bytes()[after.size :][:1] == b"\xff"
    assert decoded_hash(path) == sound


def test_cover_is_added_before_other_pictures(make: Make) -> None:
    pictures = picture_frame(3, 4, OTHER, b"back\0") + picture_frame(3, 1, OTHER, b"icon\0")
    path = song(make, tag(3, frame(3, b"TIT2", b"\0T") + pictures + frame(3, b"TALB", b"\0A")))

    write(path, "mp3", JPEG)

    names = [f.name for f in read_tag(path.read_bytes()).frames]
    assert names == [b"TIT2", b"APIC", b"APIC", b"APIC", b"TALB"]
    assert read_pictures(path, "mp3") == [
        EmbeddedPicture(JPEG.data, FRONT_COVER),
        EmbeddedPicture(OTHER, 4),
        EmbeddedPicture(OTHER, 1),
    ]


@pytest.mark.parametrize("version", [3, 4])
def test_all_front_covers_are_replaced(make: Make, version: int) -> None:
    utf16 = frame(version, b"APIC", b"\x01image/jpeg\0\x03\xff\xfe\0\0" + OTHER)
    link = frame(version, b"APIC", b"\0-->\0\x03\0http://example.org/cover.png")
    same_text = picture_frame(version, 0, OTHER)
    raw = picture_frame(version, 3, OTHER) + same_text + utf16 + link
    path = song(make, tag(version, raw))

    outcome = write(path, "mp3", PNG)

    assert outcome.status is Status.WRITTEN, outcome.message
    frames = read_tag(path.read_bytes()).frames
    assert frames == [cover_frame(PNG.data), *read_tag(tag(version, same_text + link)).frames]


def test_unsynchronised_2_4_tag_stays_unsynchronised(make: Make) -> None:
    body = b"owner\0\xff\x00\xe0\xff\x00\x00"
    raw = frame(4, b"PRIV", synchsafe(9) + body, b"\0\x03")
    path = song(make, tag(4, raw, flags=0x80))
    noisy = replace(PNG, data=PNG.data + b"\xff\xe0\xff\x00\xff")

    assert write(path, "mp3", noisy).status is Status.WRITTEN

    whole = path.read_bytes()
    after = read_tag(whole)
    assert after.flags == 0x80
    assert after.frames[0] == Frame(b"PRIV", b"\0\x03", synchsafe(9) + body)
    assert b"\xff\xe0" not in whole[10 : after.size]
    assert read_pictures(path, "mp3") == [EmbeddedPicture(noisy.data, FRONT_COVER)]


def test_damaged_end_of_tag_is_preserved(make: Make) -> None:
    whole = frame(3, b"TIT2", b"\0T")
    damaged = b"TALB" + struct.pack(">I", 5000) + b"\0\0\0cut short"
    path = song(make, tag(3, whole + damaged))

    assert write(path, "mp3", PNG).status is Status.WRITTEN

    data = path.read_bytes()
    assert damaged in data[: read_tag(tag(3, b"")).size + 1000 + len(PNG.data)]
    assert str(ID3(path)["TIT2"]) == "T"


def test_2_2_tag_stays_2_2(make: Make) -> None:
    """iTunes wrote them for years, and players read them."""
    texts = (
        (b"TT2", b"\0Title"),
        (b"TP1", UTF16_TITLE),
        (b"XYZ", b"unknown"),
        (b"CRM", b"a\0b\0secret"),
    )
    raw = joined(2, list(texts)) + picture_frame(2, 3, OTHER)
    path = song(make, tag(2, raw + picture_frame(2, 4, OTHER, b"back\0"), padding=100))

    outcome = write(path, "mp3", JPEG)

    assert (outcome.status, outcome.message) == (Status.WRITTEN, "")
    after = read_tag(path.read_bytes())
    assert after.version == 2
    assert after.frames == [
        *(Frame(name, b"", body) for name, body in texts),
        Frame(b"PIC", b"", b"\0JPG\x03\0" + JPEG.data),
        Frame(b"PIC", b"", b"\0PNG\x04back\0" + OTHER),
    ]
    assert read_pictures(path, "mp3")[0] == EmbeddedPicture(JPEG.data, FRONT_COVER)
    with av.open(path) as file:
        assert file.metadata["title"] == "Title"
        assert bytes(next(file.demux(video=0))) == JPEG.data


def test_stacked_tags_are_preserved(make: Make) -> None:
    second = tag(4, frame(4, b"TIT2", b"\x03second"), padding=20)
    path = song(make, tag(3, frame(3, b"TIT2", b"\0first")) + second)
    audio = path.read_bytes()[-2000:]

    assert write(path, "mp3", PNG).status is Status.WRITTEN

    data = path.read_bytes()
    assert data[read_tag(data).size :].startswith(second)
    assert data[-2000:] == audio


def test_new_tag_copies_the_frames_of_a_tag_at_the_end(make: Make) -> None:
    frames = frame(4, b"TIT2", b"\x03T") + frame(4, b"XABC", b"unknown")
    body = frames + picture_frame(4, 3, OTHER) + picture_frame(4, 4, OTHER, b"back\0")
    header = b"ID3\x04\0\x10" + synchsafe(len(body))
    path = song(make, b"", header + body + b"3DI" + header[3:])
    before = path.read_bytes()

    outcome = write(path, "mp3", PNG)

    assert outcome.status is Status.WRITTEN, outcome.message
    assert "copied" in outcome.message
    after = read_tag(path.read_bytes())
    back = picture_frame(4, 4, OTHER, b"back\0")
    kept = read_tag(tag(4, frames)).frames
    assert after.frames == [*kept, cover_frame(PNG.data), *read_tag(tag(4, back)).frames]
    assert path.read_bytes()[after.size :] == before


def test_padding_is_used_before_audio_moves(make: Make) -> None:
    path = song(make, tag(3, frame(3, b"TIT2", b"\0T"), padding=5000))
    size = path.stat().st_size

    write(path, "mp3", PNG)

    assert path.stat().st_size == size


def test_padding_does_not_accumulate(make: Make) -> None:
    path = song(make)
    bare = path.stat().st_size
    write(path, "mp3", large(PNG, 500_000))

    write(path, "mp3", PNG)

    assert path.stat().st_size < bare + len(PNG.data) + 4096


def test_picture_too_large_for_a_tag_fails(make: Make) -> None:
    path = song(make, tag(2, frame(2, b"XYZ", b"stays 2.2")))
    before = path.read_bytes()

    outcome = write(path, "mp3", large(PNG, 1 << 24))

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.TOO_LARGE)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("header", [b"ID3\x03\0\0\xff\xff\xff\xff", b"ID3\x05\0\0\0\0\0\x10"])
def test_unsupported_tag_is_not_changed(make: Make, header: bytes) -> None:
    path = song(make, header + bytes(16))
    before = path.read_bytes()

    assert write(path, "mp3", PNG).status is Status.FAILED

    assert path.read_bytes() == before
