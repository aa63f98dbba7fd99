"""WAV, AIFF, DFF and DSF: other chunks are preserved, and all sizes are correct."""

import struct

import pytest

from covergen.core.album import Status
from covergen.library.formats.embedded_picture import FRONT_COVER, EmbeddedPicture
from covergen.library.pictures_in_files import read_pictures
from tests.media import decoded_hash
from tests.unit.library.pictures.conftest import Make
from tests.unit.library.pictures.id3_bytes import frame, read_tag, tag
from tests.unit.library.pictures.tag_bytes import chunk
from tests.unit.library.written import OTHER, PNG, large, write

FORMS = {"wav": ("<I", b"id3 "), "aiff": (">I", b"ID3 "), "dff": (">Q", b"ID3 ")}
Chunk = tuple[bytes, bytes]


def chunks_of(data: bytes, container: str) -> list[Chunk]:
    """All chunks, whose sizes must add up to the size of the file."""
    form, _ = FORMS[container]
    width = struct.calcsize(form)
    (length,) = struct.unpack_from(form, data, 4)
    assert 4 + width + length == len(data)
    at, found = 4 + width + 4, []
    while at < len(data):
        (size,) = struct.unpack_from(form, data, at + 4)
        body = at + 4 + width
        assert body + size <= len(data)
        found.append((data[at : at + 4], data[body : body + size]))
        at = body + size + size % 2
    return found


def with_chunks(data: bytes, container: str, chunks: list[Chunk]) -> bytes:
    form, _ = FORMS[container]
    width = struct.calcsize(form)
    body = data[4 + width : 8 + width]
    for name, content in chunks:
        body += name + struct.pack(form, len(content)) + content + bytes(len(content) % 2)
    return data[:4] + struct.pack(form, len(body)) + body


@pytest.mark.parametrize("container", FORMS)
@pytest.mark.parametrize("place", ["first", "middle", "last", "none"])
def test_other_chunks_are_preserved_in_order(make: Make, container: str, place: str) -> None:
    path = make(container)
    sound = decoded_hash(path)
    chunks = chunks_of(path.read_bytes(), container)
    chunks.insert(len(chunks) - 1, (b"note", b"an odd number"))
    chunks.append((b"last", bytes(range(101))))
    others = list(chunks)
    _, name = FORMS[container]
    old = (name, tag(4, frame(4, b"TIT2", b"\x03T"), padding=31))
    # The format chunks come first.
    at = {"first": len(chunks) - 3, "middle": len(chunks) - 1, "last": len(chunks)}.get(place)
    if at is not None:
        chunks.insert(at, old)
    path.write_bytes(with_chunks(path.read_bytes(), container, chunks))

    for picture in (PNG, large(PNG, 70_001), large(PNG, 5_000)):
        outcome = write(path, container, picture)

        assert outcome.status is Status.WRITTEN, outcome.message
        after = chunks_of(path.read_bytes(), container)
        (new,) = [each for each in after if each[0] == name]
        assert after.index(new) == (len(others) if at is None else at)
        assert [each for each in after if each[0] != name] == others
        frames = read_tag(new[1]).frames
        assert [f.name for f in frames] == [b"TIT2"] * (at is not None) + [b"APIC"]
        assert decoded_hash(path) == sound
        assert read_pictures(path, container) == [EmbeddedPicture(picture.data, FRONT_COVER)]


def test_uppercase_wav_chunk_is_used(make: Make) -> None:
    path = make("wav")
    chunks = chunks_of(path.read_bytes(), "wav")
    old = (b"ID3 ", tag(3, frame(3, b"TIT2", b"\0T")))
    path.write_bytes(with_chunks(path.read_bytes(), "wav", [*chunks, old]))

    assert write(path, "wav", PNG).status is Status.WRITTEN

    assert [n for n, _ in chunks_of(path.read_bytes(), "wav")][-1] == b"ID3 "
    assert b"id3 " not in path.read_bytes()


@pytest.mark.parametrize("container", FORMS)
def test_truncated_audio_chunk_ends_with_the_file(make: Make, container: str) -> None:
    path = make(container)
    *others, (name, sound) = chunks_of(path.read_bytes(), container)
    path.write_bytes(path.read_bytes()[:-500])

    assert write(path, container, PNG).status is Status.WRITTEN

    *before, (_, left), (tag_name, _) = chunks_of(path.read_bytes(), container)
    assert (before, left, tag_name) == (others, sound[:-500], FORMS[container][1])
    assert name in (b"data", b"SSND", b"DSD ")


@pytest.mark.parametrize("claim", [b"\xff\xff\xff\xff", b"\0\xf0\xff\x7f"])
def test_unknown_sizes_of_piped_wav_are_corrected(make: Make, claim: bytes) -> None:
    path = make("wav")
    whole = chunks_of(path.read_bytes(), "wav")
    data = bytearray(path.read_bytes())
    at = data.index(b"data")
    data[4:8] = data[at + 4 : at + 8] = claim
    path.write_bytes(data)

    assert write(path, "wav", PNG).status is Status.WRITTEN

    assert chunks_of(path.read_bytes(), "wav")[:-1] == whole


@pytest.mark.parametrize("container", FORMS)
def test_truncated_non_audio_chunk_fails(make: Make, container: str) -> None:
    path = make(container)
    path.write_bytes(
        with_chunks(
            path.read_bytes(),
            container,
            [*chunks_of(path.read_bytes(), container), (b"note", bytes(600))],
        )[:-500]
    )
    before = path.read_bytes()

    assert write(path, container, PNG).status is Status.FAILED

    assert path.read_bytes() == before


def test_dsf_header_points_to_the_tag(make: Make) -> None:
    path = make("dsf")
    bare = path.read_bytes()

    for picture in (PNG, large(PNG, 50_000), PNG):
        write(path, "dsf", picture)

        data = path.read_bytes()
        size, total, pointer = struct.unpack_from("<QQQ", data, 4)
        assert (size, total, pointer) == (28, len(data), len(bare))
        assert data[28:pointer] == bare[28:]
        assert [f.name for f in read_tag(data[pointer:]).frames] == [b"APIC"]


@pytest.mark.parametrize("container", FORMS)
@pytest.mark.parametrize("between", [[], [(b"note", b"an odd number")]], ids=["alone", "note"])
def test_tag_after_the_form_is_edited_and_included(
    make: Make, container: str, between: list[Chunk]
) -> None:
    path = make(container)
    size, name = FORMS[container]
    chunks = chunks_of(path.read_bytes(), container)
    old = tag(3, frame(3, b"TIT2", b"\0T") + frame(3, b"APIC", b"\0image/png\0\x04\0" + OTHER))
    trailing = b"".join(chunk(n, data, size=size) for n, data in [*between, (name, old)])
    path.write_bytes(path.read_bytes() + trailing)

    outcome = write(path, container, PNG)

    assert outcome.status is Status.WRITTEN, outcome.message
    *others, (last, new) = chunks_of(path.read_bytes(), container)
    assert (others, last) == ([*chunks, *between], name)
    assert [f.name for f in read_tag(new).frames] == [b"TIT2", b"APIC", b"APIC"]
    assert read_pictures(path, container) == [
        EmbeddedPicture(PNG.data, FRONT_COVER),
        EmbeddedPicture(OTHER, 4),
    ]


def test_tag_in_dff_properties_is_copied(make: Make) -> None:
    path = make("dff")
    title = chunk(b"ID3 ", tag(3, frame(3, b"TIT2", b"\0T")), size=">Q")
    chunks = [
        (name, data + title if name == b"PROP" else data)
        for name, data in chunks_of(path.read_bytes(), "dff")
    ]
    path.write_bytes(with_chunks(path.read_bytes(), "dff", chunks))

    assert write(path, "dff", PNG).status is Status.WRITTEN

    *others, (name, new) = chunks_of(path.read_bytes(), "dff")
    assert (others, name) == (chunks, b"ID3 ")
    assert [f.name for f in read_tag(new).frames] == [b"TIT2", b"APIC"]
