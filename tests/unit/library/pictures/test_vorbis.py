"""Ogg: only the comments change; all other pages are preserved."""

import base64
import io
import struct
from pathlib import Path

import av
import pytest
from mutagen.flac import Picture

from covergen.core.album import Status
from covergen.core.reasons import Reason
from covergen.library.formats.embedded_picture import FRONT_COVER, EmbeddedPicture
from covergen.library.pictures_in_files import read_pictures
from covergen.library.read_track import read_track
from tests.media import decoded_hash
from tests.unit.library.pictures.conftest import Make
from tests.unit.library.pictures.ogg_bytes import Page, pages, write_page
from tests.unit.library.written import JPEG, OTHER, PNG, large, write

OGG = ("vorbis", "opus", "speex", "oggflac")
PREFIX = {"vorbis": 7, "opus": 8, "speex": 0, "oggflac": 4}


def packets(data: bytes) -> list[bytes]:
    """All packets of a file with a single stream."""
    found, open_packet = [], b""
    for page in pages(data):
        stream = io.BytesIO(page.payload)
        for length in page.lacing:
            open_packet += stream.read(length)
            if length < 255:
                found.append(open_packet)
                open_packet = b""
    assert not open_packet
    return found


def entries_of(packet: bytes, container: str) -> tuple[bytes, list[bytes], bytes]:
    """Vendor, entries and what follows them."""
    stream = io.BytesIO(packet[PREFIX[container] :])

    def text() -> bytes:
        return stream.read(struct.unpack("<I", stream.read(4))[0])

    vendor = text()
    (count,) = struct.unpack("<I", stream.read(4))
    return vendor, [text() for _ in range(count)], stream.read()


def edit_comments(path: Path, container: str, *entries: bytes, tail: bytes | None = None) -> None:
    """Replace a small song's comments with raw entries."""
    found = list(pages(path.read_bytes()))
    packet = packets(path.read_bytes())[1]
    vendor, _, old_tail = entries_of(packet, container)
    body = struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(entries))
    body += b"".join(struct.pack("<I", len(e)) + e for e in entries)
    body += old_tail if tail is None else tail
    prefix = packet[: PREFIX[container]]
    if container == "oggflac":
        prefix = prefix[:1] + len(body).to_bytes(3, "big")
    new = prefix + body
    old_lacing = lacing_of(packet)
    assert found[1].lacing.startswith(old_lacing)
    lacing = lacing_of(new) + found[1].lacing[len(old_lacing) :]
    payload = new + found[1].payload[len(packet) :]
    found[1] = found[1]._replace(lacing=lacing, payload=payload)
    path.write_bytes(b"".join(map(write_page, found)))


def lacing_of(packet: bytes) -> bytes:
    return b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255])


def block(kind: int, data: bytes) -> bytes:
    picture = Picture()
    picture.type, picture.data, picture.mime = kind, data, "image/png"
    return b"METADATA_BLOCK_PICTURE=" + base64.b64encode(picture.write())


@pytest.mark.parametrize("container", OGG)
@pytest.mark.parametrize("size", [0, 60_000, 400_000])
def test_only_comment_packet_changes(make: Make, container: str, size: int) -> None:
    path = make(container, tags={"title": "T", "artist": "A"})
    before, old_pages = packets(path.read_bytes()), list(pages(path.read_bytes()))

    outcome = write(path, container, large(PNG, max(size, len(PNG.data))))

    assert outcome.status is Status.WRITTEN, outcome.message
    after, new_pages = packets(path.read_bytes()), list(pages(path.read_bytes()))
    assert len(after) == len(before)
    assert [a == b for a, b in zip(after, before, strict=True)].count(False) == 1
    assert after[1] != before[1]
    assert [page.sequence for page in new_pages] == list(range(len(new_pages)))
    audio = [p._replace(sequence=0, crc=0) for p in old_pages if p.position > 0]
    assert [p._replace(sequence=0, crc=0) for p in new_pages if p.position > 0] == audio
    assert [p.flags & 6 for p in new_pages if p.flags & 6] == [2, 4]
    vendor, entries, tail = entries_of(before[1], container)
    assert entries_of(after[1], container)[0::2] == (vendor, tail)
    assert entries_of(after[1], container)[1][: len(entries)] == entries


@pytest.mark.parametrize("length", [k * 254 * 255 + d for k in (1, 2) for d in (-1, 0, 1, 255)])
def test_packets_that_exactly_fill_their_pages(make: Make, length: int) -> None:
    bare = make("opus").read_bytes()
    path = make("opus", tags={"title": ""})
    write(path, "opus", large(PNG, 40_000))
    missing = length - len(packets(path.read_bytes())[1])
    path = make("opus", tags={"title": "x" * missing})

    assert write(path, "opus", large(PNG, 40_000)).status is Status.WRITTEN

    after = packets(path.read_bytes())
    assert len(after[1]) == length
    assert after[2:] == packets(bare)[2:]


@pytest.mark.parametrize("container", OGG)
def test_raw_entries_are_preserved_in_order(make: Make, container: str) -> None:
    path = make(container)
    odd = (b"TITLE=\xff\xfe", b"no equals sign", b"ti~tle=x", b"A=1", b"a=2", b"=", b"A=1")
    edit_comments(path, container, *odd)

    outcome = write(path, container, PNG)

    assert outcome.status is Status.WRITTEN, outcome.message
    _, entries, _ = entries_of(packets(path.read_bytes())[1], container)
    assert tuple(entries[:-1]) == odd
    assert entries[-1].startswith(b"METADATA_BLOCK_PICTURE=")


@pytest.mark.parametrize("container", OGG)
def test_picture_dimensions_are_set(make: Make, container: str) -> None:
    path = make(container)

    write(path, container, JPEG)

    _, entries, _ = entries_of(packets(path.read_bytes())[1], container)
    picture = Picture(base64.b64decode(entries[-1].partition(b"=")[2]))
    assert (picture.type, picture.mime, picture.desc) == (3, "image/jpeg", "")
    assert (picture.width, picture.height, picture.depth, picture.colors) == (64, 64, 24, 0)
    assert picture.data == JPEG.data


@pytest.mark.parametrize("container", OGG)
def test_legacy_cover_is_replaced(make: Make, container: str) -> None:
    path = make(container)
    legacy = (b"coverart=" + base64.b64encode(OTHER), b"COVERARTMIME=image/png")
    edit_comments(path, container, b"A=1", *legacy, block(3, OTHER), block(4, OTHER), b"B=2")
    kinds = [(p.kind, p.data) for p in read_pictures(path, container)]
    assert kinds == [(3, OTHER), (4, OTHER), (3, OTHER)]

    assert write(path, container, PNG).status is Status.WRITTEN

    _, entries, _ = entries_of(packets(path.read_bytes())[1], container)
    assert [entries[0], *entries[2:]] == [b"A=1", block(4, OTHER), b"B=2"]
    assert read_pictures(path, container) == [
        EmbeddedPicture(PNG.data, FRONT_COVER),
        EmbeddedPicture(OTHER, 4),
    ]


def test_invalid_picture_blocks_are_preserved(make: Make) -> None:
    path = make("opus")
    junk = (b"METADATA_BLOCK_PICTURE=!!", b"METADATA_BLOCK_PICTURE=AAAA")
    edit_comments(path, "opus", *junk)

    assert write(path, "opus", PNG).status is Status.WRITTEN

    _, entries, _ = entries_of(packets(path.read_bytes())[1], "opus")
    assert tuple(entries[1:]) == junk


def test_opus_data_after_the_comments_is_preserved(make: Make) -> None:
    path = make("opus")
    edit_comments(path, "opus", b"A=1", tail=b"\x01 some binary that must be preserved")

    assert write(path, "opus", PNG).status is Status.WRITTEN

    tail = entries_of(packets(path.read_bytes())[1], "opus")[2]
    assert tail == b"\x01 some binary that must be preserved"


def test_interleaved_stream_is_preserved(make: Make) -> None:
    path = make("opus")
    sound = decoded_hash(path)
    opus = list(pages(path.read_bytes()))
    foreign = [
        Page(2, 0, 77, 0, 0, b"\x08", b"unknown\0"),
        Page(0, 0, 77, 1, 0, b"\x05", b"hello"),
        Page(4, 9, 77, 2, 0, b"\x03", b"end"),
    ]
    mixed = [foreign[0], opus[0], foreign[1], opus[1], *opus[2:], foreign[2]]
    path.write_bytes(b"".join(map(write_page, mixed)))

    outcome = write(path, "opus", large(PNG, 150_000))

    assert outcome.status is Status.WRITTEN, outcome.message
    after = list(pages(path.read_bytes()))
    others = [page._replace(crc=0) for page in after if page.serial == 77]
    assert others == foreign
    own = [page.sequence for page in after if page.serial != 77]
    assert own == list(range(len(own)))
    assert decoded_hash(path) == sound


def test_chained_stream_is_preserved(make: Make) -> None:
    path = make("opus")
    first = list(pages(path.read_bytes()))
    second = [page._replace(serial=99) for page in first]
    path.write_bytes(b"".join(map(write_page, [*first, *second])))

    outcome = write(path, "opus", large(PNG, 150_000))

    assert outcome.status is Status.WRITTEN, outcome.message
    after = [page._replace(crc=0) for page in pages(path.read_bytes()) if page.serial == 99]
    assert after == [page._replace(crc=0) for page in second]


def put_audio_on_a_header_page(path: Path) -> None:
    found = list(pages(path.read_bytes()))
    headers, audio = found[1], found[2]
    assert (headers.position, audio.position > 0) == (0, True)
    merged = audio._replace(
        lacing=headers.lacing + audio.lacing, payload=headers.payload + audio.payload
    )
    renumbered = [p._replace(sequence=i) for i, p in enumerate([found[0], merged, *found[3:]])]
    path.write_bytes(b"".join(map(write_page, renumbered)))


def remuxed(path: Path) -> Path:
    """What `ffmpeg -c copy` makes of a file."""
    new = path.with_stem("remuxed")
    with av.open(path) as source, av.open(new, "w") as target:
        (stream,) = source.streams
        copied = target.add_stream_from_template(stream)
        copied.metadata.update(stream.metadata)
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = copied
                target.mux(packet)
    return new


@pytest.mark.parametrize("container", OGG)
def test_audio_on_a_header_page_is_refused_until_ffmpeg_has_copied_it(
    make: Make, container: str
) -> None:
    path = make(container, tags={"title": "T"})
    sound = decoded_hash(path)
    put_audio_on_a_header_page(path)
    before = path.read_bytes()

    outcome = write(path, container, PNG)

    assert outcome.status is Status.FAILED
    assert "audio shares a page with the headers" in outcome.message
    assert "ffmpeg -i OLD -c copy NEW" in outcome.message
    assert read_track(path, path.stat()).fault == outcome.message
    assert path.read_bytes() == before
    new = remuxed(path)
    assert write(new, container, PNG).status is Status.WRITTEN
    assert decoded_hash(new) == sound
    assert read_track(new, new.stat()).title == "T"


def test_ogg_flac_tags_over_16_mib_fail(make: Make) -> None:
    path = make("oggflac")
    before = path.read_bytes()

    outcome = write(path, "oggflac", large(PNG, 13 << 20))

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.TOO_LARGE)
    assert path.read_bytes() == before


def with_picture_blocks(path: Path, *blocks: tuple[int, bytes]) -> None:
    """Add separate blocks to an Ogg FLAC file, like `flac --picture`.

    Each block starts a page, the last one is flagged, and the first packet contains their number.
    """
    first, comment, *rest = pages(path.read_bytes())
    audio = [page for page in rest if page.position > 0]
    count = (1 + len(blocks)).to_bytes(2, "big")
    first = first._replace(payload=first.payload[:7] + count + first.payload[9:])
    comment = comment._replace(payload=b"\x04" + comment.payload[1:])
    headers = [first, comment]
    for number, (kind, body) in enumerate(blocks, 1):
        head = bytes([kind | 0x80 * (number == len(blocks))])
        packet = head + len(body).to_bytes(3, "big") + body
        headers.append(first._replace(flags=0, lacing=lacing_of(packet), payload=packet))
    found = [page._replace(sequence=n) for n, page in enumerate([*headers, *audio])]
    path.write_bytes(b"".join(map(write_page, found)))


def picture_block(kind: int, data: bytes) -> tuple[int, bytes]:
    picture = Picture()
    picture.type, picture.data, picture.mime = kind, data, "image/png"
    return 6, picture.write()


PADDING_BLOCK = (1, bytes(100))


@pytest.mark.parametrize("last", [(picture_block(3, OTHER),), (picture_block(3, OTHER),) * 2])
def test_ogg_flac_front_cover_block_is_replaced(
    make: Make, last: tuple[tuple[int, bytes], ...]
) -> None:
    path = make("oggflac", tags={"title": "T"})
    sound = decoded_hash(path)
    with_picture_blocks(path, PADDING_BLOCK, picture_block(4, JPEG.data), *last)
    assert [picture.kind for picture in read_pictures(path, "oggflac")] == [4, *(3 for _ in last)]
    assert read_track(path, path.stat()).has_art

    outcome = write(path, "oggflac", large(PNG, 150_000))

    assert outcome.status is Status.WRITTEN, outcome.message
    first, comment, *rest = packets(path.read_bytes())
    headers = [comment, *(packet for packet in rest if packet[0] != 0xFF)]
    assert [(packet[0], packet[4:]) for packet in headers[1:]] == [
        PADDING_BLOCK,
        (0x80 | 6, picture_block(4, JPEG.data)[1]),
    ]
    assert int.from_bytes(first[7:9], "big") == len(headers)
    assert read_pictures(path, "oggflac") == [
        EmbeddedPicture(large(PNG, 150_000).data, FRONT_COVER),
        EmbeddedPicture(JPEG.data, 4),
    ]
    assert decoded_hash(path) == sound


def test_ogg_flac_without_last_block_flag(make: Make) -> None:
    path = make("oggflac")
    found = list(pages(path.read_bytes()))
    found[1] = found[1]._replace(payload=b"\x04" + found[1].payload[1:])
    path.write_bytes(b"".join(map(write_page, found)))
    sound = decoded_hash(path)

    outcome = write(path, "oggflac", PNG)

    assert outcome.status is Status.WRITTEN, outcome.message
    assert decoded_hash(path) == sound
