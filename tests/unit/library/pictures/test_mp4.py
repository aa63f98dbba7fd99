"""MP4: the cover is added, other atoms are preserved, and audio offsets are updated."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from mutagen.mp4 import MP4, AtomDataType, MP4Cover, MP4FreeForm

from covergen.core.album import Status
from covergen.library.formats.embedded_picture import FRONT_COVER, EmbeddedPicture
from covergen.library.pictures_in_files import read_pictures
from tests.media import decoded_hash, sound
from tests.unit.library.pictures.conftest import Make
from tests.unit.library.written import JPEG, OTHER, PNG, large, write

Leaf = tuple[str, bytes]
CONTAINERS = ("moov", "trak", "mdia", "minf", "stbl", "udta", "meta", "ilst")


def encoded(path: Path, **options: str) -> Path:
    """AAC muxed with FFmpeg options."""
    with av.open(str(path), "w", format="mp4", container_options=options) as file:
        stream = file.add_stream("aac", rate=44_100, layout="mono")
        stream.bit_rate = 64_000
        samples = sound("chord", 1.0)[:1]
        for i in range(0, samples.shape[1] - 1023, 1024):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[:, i : i + 1024]), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = 44_100, i, Fraction(1, 44_100)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def leaves(data: bytes, path: str = "") -> Iterator[Leaf]:
    """All leaf atoms by path, without free space."""
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if size == 0:
            return
        head = 16 if size == 1 else 8
        size = struct.unpack_from(">Q", data, at + 8)[0] if size == 1 else size
        body, here = data[at + head : at + size], f"{path}/{name.decode('latin-1')}"
        if here.rpartition("/")[2] in CONTAINERS:
            yield from leaves(body[4:] if name == b"meta" else body, here)
        elif name not in (b"free", b"skip"):
            yield here, body
        at += size


def other_leaves(path: Path) -> list[Leaf]:
    """All leaf atoms except the cover and the offsets."""
    moving = ("covr", "stco", "co64", "moof", "mfra")
    return [leaf for leaf in leaves(path.read_bytes()) if leaf[0].rpartition("/")[2] not in moving]


def atom(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def rebuilt(path: Path, change: dict[bytes, bytes]) -> None:
    """Change atoms inside a `moov` at the end of the file, so that no offsets change."""

    def build(data: bytes) -> bytes:
        out, at = b"", 0
        while at + 8 <= len(data):
            size, name = struct.unpack_from(">I4s", data, at)
            body = data[at + 8 : at + size]
            if name in change:
                body = change[name]
            elif name.decode("latin-1") in CONTAINERS:
                prefix = body[:4] if name == b"meta" else b""
                body = prefix + build(body[len(prefix) :])
            out += atom(name, body)
            at += size
        return out

    data = path.read_bytes()
    assert data.rindex(b"moov") > data.index(b"mdat")
    path.write_bytes(build(data))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"movflags": "faststart"},
        {"movflags": "frag_keyframe+empty_moov", "frag_duration": "200000"},
        {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "200000"},
        {"movflags": "empty_moov+dash+global_sidx", "frag_duration": "200000"},
    ],
    ids=["moov-last", "faststart", "fragmented", "fragmented-relative", "dash"],
)
@pytest.mark.parametrize("size", [0, 200_000])
def test_audio_offsets_are_updated(tmp_path: Path, options: dict[str, str], size: int) -> None:
    path = encoded(tmp_path / "song.m4a", **options)
    music, atoms = decoded_hash(path), other_leaves(path)
    picture = large(PNG, max(size, len(PNG.data)))

    outcome = write(path, "mp4", picture)

    assert outcome.status is Status.WRITTEN, outcome.message
    assert decoded_hash(path) == music
    assert [leaf for leaf in other_leaves(path) if "meta" not in leaf[0]] == [
        leaf for leaf in atoms if "meta" not in leaf[0]
    ]
    assert read_pictures(path, "mp4") == [EmbeddedPicture(picture.data, FRONT_COVER)]


def test_fragment_index_is_updated(tmp_path: Path) -> None:
    path = encoded(
        tmp_path / "song.m4a", movflags="frag_keyframe+empty_moov", frag_duration="200000"
    )

    write(path, "mp4", large(PNG, 100_000))

    data = path.read_bytes()
    (index,) = [body for name, body in leaves(data) if name == "/mfra"]
    assert index[4:8] == b"tfra"
    version, sizes, count = index[8], index[19], struct.unpack_from(">I", index, 20)[0]
    assert (version, sizes) in ((1, 0), (1, 63))
    step = 16 + sum((sizes >> shift & 3) + 1 for shift in (4, 2, 0))
    assert count > 1
    for i in range(count):
        (offset,) = struct.unpack_from(">Q", index, 24 + i * step + 8)
        assert data[offset + 4 : offset + 8] == b"moof"


def test_64_bit_offsets_are_updated(tmp_path: Path) -> None:
    path = encoded(tmp_path / "song.m4a", movflags="faststart")
    music, data = decoded_hash(path), path.read_bytes()
    at = data.index(b"stco") - 4
    size, _, _, count = struct.unpack_from(">I4sII", data, at)
    offsets = struct.unpack_from(f">{count}I", data, at + 16)
    grown = 4 * count
    table = atom(b"co64", struct.pack(f">II{count}Q", 0, count, *(o + grown for o in offsets)))
    data = bytearray(data[:at] + table + data[at + size :])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        head = data.index(name) - 4
        struct.pack_into(">I", data, head, struct.unpack_from(">I", data, head)[0] + grown)
    path.write_bytes(data)
    assert decoded_hash(path) == music

    assert write(path, "mp4", PNG).status is Status.WRITTEN

    assert b"co64" in path.read_bytes()
    assert decoded_hash(path) == music


@pytest.mark.parametrize(("picture", "flag"), [(PNG, 14), (JPEG, 13)])
def test_type_flag_matches_the_picture(make: Make, picture: type(PNG), flag: int) -> None:  # type: ignore[valid-type]  # a value's own type
    path = make("mp4")

    write(path, "mp4", picture)

    (cover,) = [body for name, body in leaves(path.read_bytes()) if name.endswith("covr")]
    assert cover == atom(b"data", struct.pack(">II", flag, 0) + picture.data)


def test_other_values_are_preserved(make: Make) -> None:
    path = make("mp4", tags={"title": "T", "track_number": "3/9", "compilation": "1"})
    file = MP4(path)
    file["----:com.apple.iTunes:iTunNORM"] = [MP4FreeForm(b" 0000", AtomDataType.UTF8)]
    file["----:org.example:blob"] = [MP4FreeForm(bytes(range(99)), AtomDataType.IMPLICIT)]
    file["tmpo"] = [120]
    file.save()
    genre = atom(b"gnre", atom(b"data", struct.pack(">IIH", 0, 0, 18)))
    odd = atom(b"\x00\x01\xff!", atom(b"data", struct.pack(">II", 1, 0) + b"odd"))
    rebuilt(path, {b"ilst": genre + whole_ilst(path) + odd})
    values = other_leaves(path)

    outcome = write(path, "mp4", PNG)

    assert outcome.status is Status.WRITTEN, outcome.message
    assert other_leaves(path) == values
    assert MP4(path)["----:com.apple.iTunes:iTunNORM"] == [b" 0000"]


def whole_ilst(path: Path) -> bytes:
    data = path.read_bytes()
    at = data.index(b"ilst") - 4
    return data[at + 8 : at + struct.unpack_from(">I", data, at)[0]]


def test_only_first_picture_is_replaced(make: Make) -> None:
    path = make("mp4")
    file = MP4(path)
    file["covr"] = [MP4Cover(JPEG.data), MP4Cover(OTHER, MP4Cover.FORMAT_PNG)]
    file.save()

    write(path, "mp4", PNG)

    covers = MP4(path)["covr"]
    assert [bytes(cover) for cover in covers] == [PNG.data, OTHER]
    assert [cover.imageformat for cover in covers] == [14, 14]


def test_free_space_is_used_before_audio_moves(tmp_path: Path) -> None:
    path = encoded(tmp_path / "song.m4a", movflags="faststart")
    write(path, "mp4", PNG)
    size, audio = path.stat().st_size, path.read_bytes().index(b"mdat")

    write(path, "mp4", JPEG)

    assert path.stat().st_size == size
    assert path.read_bytes().index(b"mdat") == audio


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"mdirappl", b"mdta\0\0\0\0"),
        (b"meta\0\0\0\0\0\0\0\x21hdlr", b"meta\0\0\0\x21hdlr\0\0\0\0"),  # QuickTime
    ],
)
def test_metadata_in_another_format_fails(make: Make, old: bytes, new: bytes) -> None:
    path = make("mp4", tags={"title": "T"})
    before = path.read_bytes().replace(old, new)
    assert before != path.read_bytes()
    path.write_bytes(before)

    assert write(path, "mp4", PNG).status is Status.FAILED

    assert path.read_bytes() == before
