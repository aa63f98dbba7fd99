"""ASF: other attributes are preserved."""

import io
import struct
from pathlib import Path
from typing import Literal
from uuid import UUID

import av
import numpy as np
import pytest
from mutagen.asf import (
    ASF,
    ASFBoolAttribute,
    ASFByteArrayAttribute,
    ASFDWordAttribute,
    ASFGUIDAttribute,
    ASFUnicodeAttribute,
)
from PIL import Image

from covergen.core.album import Action, AlbumPlan, Status
from covergen.core.cover import Cover
from covergen.core.cover_encoding import Encoding, encode, read_provenance
from covergen.core.reasons import Reason
from covergen.library.formats.embedded_picture import FRONT_COVER, EmbeddedPicture
from covergen.library.pictures_in_files import read_pictures
from covergen.pipeline.totals import PlanTotals
from tests.media import decoded_hash, put_picture
from tests.unit.library.pictures.conftest import Make
from tests.unit.library.written import JPEG, OTHER, PNG, large, write
from tests.values import PROVENANCE, make_album, track_at

FILE_PROPERTIES = UUID("8CABDCA1-A947-11CF-8EE4-00C00C205365").bytes_le


def attributes(path: Path) -> list[tuple[str, str]]:
    return [(name, repr(value)) for name, value in ASF(path).tags if name != "WM/Picture"]


@pytest.fixture
def rich(make: Make) -> Path:
    path = make("asf", tags={"title": "T", "artist": "A", "compilation": "1"})
    file = ASF(path)
    file["Author"] = [ASFUnicodeAttribute("one"), ASFUnicodeAttribute("two")]
    file["A/Number"] = [ASFDWordAttribute(7)]
    file["A/Blob"] = [ASFByteArrayAttribute(bytes(70_000))]
    file["A/Guid"] = [ASFGUIDAttribute(bytes(range(16)))]
    file["A/Language"] = [ASFUnicodeAttribute("hallo", language=0, stream=1)]
    file["A/Stream"] = [ASFBoolAttribute(True, stream=1)]
    file.save()
    return path


@pytest.mark.parametrize("size", [0, 65_400])
def test_other_attributes_are_preserved(rich: Path, size: int) -> None:
    before, sound = attributes(rich), decoded_hash(rich)
    picture = large(PNG, max(size, len(PNG.data)))

    outcome = write(rich, "asf", picture)

    assert outcome.status is Status.WRITTEN, outcome.message
    assert attributes(rich) == before
    assert decoded_hash(rich) == sound
    assert read_pictures(rich, "asf") == [EmbeddedPicture(picture.data, FRONT_COVER)]


@pytest.mark.parametrize("format_", ["png", "jpeg"])
def test_too_large_cover_is_converted_to_jpeg(rich: Path, format_: Literal["png", "jpeg"]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    before, picture = (
        attributes(rich),
        encode(Cover(pixels=noise, provenance=PROVENANCE), Encoding(format=format_, quality=95)),
    )
    assert len(picture.data) > 1 << 16

    outcome = write(rich, "asf", picture)

    assert outcome.status is Status.WRITTEN
    assert "most players show none above 63 KiB" in outcome.message
    assert attributes(rich) == before
    with av.open(rich) as file:
        (shown,) = (bytes(packet) for packet in file.demux(video=0) if packet.size)
    assert read_provenance(shown) == read_provenance(picture.data) is not None
    with Image.open(io.BytesIO(shown)) as image:
        assert image.format == "JPEG"
        assert min(image.size) > 200
    again = write(rich, "asf", picture)
    assert (again.status, again.reason) == (Status.UNCHANGED, Reason.EQUAL)


@pytest.mark.parametrize("grain", [4, 12])
def test_growth_by_a_converted_cover_is_estimated_from_above(make: Make, grain: int) -> None:
    path = make("asf")
    before = path.stat().st_size
    pixels = np.random.default_rng(0).normal(128, grain, (512, 512, 3)).clip(0, 255)
    cover = Cover(pixels=pixels.astype(np.uint8), provenance=PROVENANCE)
    picture = encode(cover, Encoding())
    totals = PlanTotals()
    album = make_album(path.parent, tracks=(track_at(path, "asf"),))
    totals.add(
        AlbumPlan(album=album, action=Action.PAINT, reason=Reason.NO_COVER, targets=album.tracks)
    )

    assert write(path, "asf", picture).status is Status.WRITTEN

    grown = path.stat().st_size - before
    assert grown <= totals.added_bytes(len(picture.data)) <= 1.25 * grown


def test_cover_is_a_wm_picture_attribute(make: Make) -> None:
    path = make("asf")

    write(path, "asf", JPEG)

    (value,) = ASF(path)["WM/Picture"]
    mime = "image/jpeg\0".encode("utf-16-le")
    assert value.value == b"\x03" + struct.pack("<I", len(JPEG.data)) + mime + b"\0\0" + JPEG.data


def test_file_size_in_header_is_updated(make: Make) -> None:
    path = make("asf")

    for picture in (PNG, large(PNG, 60_000)):
        write(path, "asf", picture)

        data = path.read_bytes()
        at = data.index(FILE_PROPERTIES)
        assert struct.unpack_from("<Q", data, at + 24 + 16) == (len(data),)


def test_pictures_of_other_types_are_preserved(make: Make) -> None:
    path = make("asf")
    long_back = large(JPEG, 90_000).data
    put_picture(path, "asf", long_back, kind=4)
    put_picture(path, "asf", OTHER, kind=0)
    put_picture(path, "asf", large(JPEG, 80_000).data, kind=3)
    put_picture(path, "asf", OTHER, kind=3)

    assert write(path, "asf", PNG).status is Status.WRITTEN

    found = read_pictures(path, "asf")
    assert found[0] == EmbeddedPicture(PNG.data, FRONT_COVER)
    assert sorted(found[1:], key=lambda p: p.kind) == [
        EmbeddedPicture(OTHER, 0),
        EmbeddedPicture(long_back, 4),
    ]


def test_broken_picture_is_preserved(make: Make) -> None:
    path = make("asf")
    file = ASF(path)
    file["WM/Picture"] = [ASFByteArrayAttribute(b"\x03\x01"), ASFUnicodeAttribute("text")]
    file.save()
    assert read_pictures(path, "asf") == []

    assert write(path, "asf", PNG).status is Status.WRITTEN

    values = [value.value for value in ASF(path)["WM/Picture"]]
    assert values[0].endswith(PNG.data)
    assert values[1:] == [b"\x03\x01", "text"]


def test_padding_is_used_before_audio_moves(make: Make) -> None:
    path = make("asf")
    file = ASF(path)
    file.save(padding=lambda _: 6000)
    size = path.stat().st_size

    write(path, "asf", PNG)

    assert path.stat().st_size == size
