"""The audio between tags; the tags are written by hand from their specifications."""

import io
import struct

import pytest

from covergen.audio.audio_span import sound_span

SOUND = b"\xff\xfb" + bytes(range(256)) * 4

ID3V2 = b"ID3\x04\x00\x00\x00\x00\x02\x01" + bytes(257)  # 2 * 128 + 1 bytes behind the header
ID3V2_WITH_FOOTER = (
    b"ID3\x04\x00\x10\x00\x00\x00\x05" + bytes(5) + b"3DI\x04\x00\x10\x00\x00\x00\x05"
)
ID3V1 = b"TAG" + b"x" * 125
APE_ITEM = struct.pack("<II", 3, 0) + b"Title\0abc"
APE_FOOTER = struct.pack("<8s4I8x", b"APETAGEX", 2000, len(APE_ITEM) + 32, 1, 1 << 31)
APEV2 = struct.pack("<8s4I8x", b"APETAGEX", 2000, len(APE_ITEM) + 32, 1, 5 << 29)
APEV2 += APE_ITEM + APE_FOOTER
LYRICS3 = b"LYRICSBEGIN" + b"IND0000200" + b"000021LYRICS200"


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        (b"", b""),
        (ID3V2, b""),
        (ID3V2 + ID3V2, b""),
        (ID3V2_WITH_FOOTER, b""),
        (b"", ID3V1),
        (b"", APEV2),
        (b"", APEV2 + ID3V1),
        (ID3V2, APEV2 + LYRICS3 + ID3V1),
    ],
)
def test_span_excludes_surrounding_tags(before: bytes, behind: bytes) -> None:
    span = sound_span(io.BytesIO(before + SOUND + behind))
    assert span == (len(before), len(before) + len(SOUND))


@pytest.mark.parametrize(
    "content",
    [b"", b"ID3", ID3V2[:50], b"TAG", ID3V1, APEV2[-32:], LYRICS3[-15:], b"ID3" + b"\xff" * 20],
)
def test_span_stays_inside_the_file(content: bytes) -> None:
    start, end = sound_span(io.BytesIO(content))
    assert 0 <= start <= end <= len(content)
