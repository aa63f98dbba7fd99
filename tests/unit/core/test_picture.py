"""Pictures as bytes: what is written can be read by others, what is read may be anything."""

import io
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from covergen.core.picture import (
    Encoding,
    Picture,
    encode,
    is_image,
    is_own,
    open_picture,
    read_provenance,
)
from covergen.core.types import Cover, Provenance
from tests.media import picture_bytes

_PROVENANCE = Provenance(
    version="1.2.3",
    model="starter",
    base="/models/base",
    clap="someone/clap",
    adapter="ab" * 32,
    windows=3,
    seed=2**63 - 1,
    steps=30,
    guidance=7.5,
    scheduler="dpm++",
    album_key="ärger|東京\n",
    guided_from=0.25,
    guided_until=0.75,
    reuse=2,
    finish="print",
    inks=5,
    style="cut paper",
    padding="silence",
)
_TEXTS = {
    "covergen:version": "1.2.3",
    "covergen:model": "starter",
    "covergen:base": "/models/base",
    "covergen:clap": "someone/clap",
    "covergen:adapter": "ab" * 32,
    "covergen:windows": "3",
    "covergen:seed": "9223372036854775807",
    "covergen:steps": "30",
    "covergen:guidance": "7.5",
    "covergen:scheduler": "dpm++",
    "covergen:album_key": "ärger|東京\n",
    "covergen:guided_from": "0.25",
    "covergen:guided_until": "0.75",
    "covergen:reuse": "2",
    "covergen:finish": "print",
    "covergen:inks": "5",
    "covergen:style": "cut paper",
    "covergen:padding": "silence",
}
_PNG, _JPEG = Encoding(format="png"), Encoding(format="jpeg")
_START_OF_FRAME = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive"}


def _pixels(side: int = 64) -> NDArray[np.uint8]:
    """A slope in each channel, which JPEG keeps nearly as it is."""
    rise = np.linspace(0, 255, side).astype(np.uint8)
    across, down = np.meshgrid(rise, rise)
    return np.stack([across, down, 255 - across], axis=-1)


def _cover(side: int = 64) -> Cover:
    return Cover(pixels=_pixels(side), provenance=_PROVENANCE)


def _opened(picture: Picture) -> Image.Image:
    image = Image.open(io.BytesIO(picture.data))
    image.load()
    return image


def _jpeg_kind(data: bytes) -> str:
    """The coding process, by the frame header's marker (ITU-T T.81, table B.1)."""
    position = 2
    while data[position + 1] not in _START_OF_FRAME:
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return _START_OF_FRAME[data[position + 1]]


# Writing.


def test_png_holds_the_very_pixels_and_the_provenance_as_text() -> None:
    image = _opened(encode(_cover(), _PNG))

    assert image.format == "PNG"
    assert image.text == _TEXTS
    np.testing.assert_array_equal(np.asarray(image), _pixels())


def test_a_png_of_few_colors_has_a_palette_and_is_exact() -> None:
    pixels = np.kron(np.random.default_rng(0).integers(0, 5, (16, 16)), np.ones((16, 16)))
    pixels = np.stack([pixels * 50, 255 - pixels * 50, pixels], axis=-1).astype(np.uint8)
    picture = encode(Cover(pixels=pixels, provenance=_PROVENANCE), _PNG)

    image = _opened(picture)
    assert image.mode == "P"
    assert image.text == _TEXTS
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), pixels)
    assert picture.depth == 8
    assert picture.colors >= 5


def test_jpeg_holds_the_provenance_as_a_comment() -> None:
    image = _opened(encode(_cover(), _JPEG))

    assert image.format == "JPEG"
    assert json.loads(image.info["comment"]) == _TEXTS
    difference = np.asarray(image).astype(int) - _pixels()
    assert np.abs(difference).mean() < 3


def test_jpeg_is_baseline() -> None:
    stream = io.BytesIO()
    Image.fromarray(_pixels()).save(stream, "JPEG", progressive=True)
    assert _jpeg_kind(stream.getvalue()) == "progressive"

    assert _jpeg_kind(encode(_cover(), _JPEG).data) == "baseline"


def test_quality_is_the_jpegs() -> None:
    sizes = [
        len(encode(_cover(), Encoding(format="jpeg", quality=quality)).data)
        for quality in (30, 90, 95)
    ]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("encoding", [_PNG, _JPEG], ids=["png", "jpeg"])
def test_what_is_said_of_an_encoded_cover_is_what_its_bytes_say(encoding: Encoding) -> None:
    picture = encode(_cover(), encoding)

    assert picture == Picture.parse(picture.data)
    assert (picture.width, picture.height, picture.depth, picture.colors) == (64, 64, 24, 0)


@pytest.mark.parametrize("size", [16, 64, 100])
@pytest.mark.parametrize("file_format", ["png", "jpeg"])
def test_a_cover_is_resized_where_asked_for(file_format: str, size: int) -> None:
    picture = encode(_cover(), Encoding(format=file_format, size=size))

    assert (picture.width, picture.height) == _opened(picture).size == (size, size)


# Whose it is.


@pytest.mark.parametrize("side", [8, 512])
@pytest.mark.parametrize("encoding", [_PNG, _JPEG], ids=["png", "jpeg"])
def test_covergen_knows_its_own_covers(encoding: Encoding, side: int) -> None:
    assert is_own(encode(_cover(side), encoding).data)


@pytest.mark.parametrize("data", [picture_bytes("png"), picture_bytes("jpeg"), b""])
def test_covergen_claims_no_others(data: bytes) -> None:
    assert not is_own(data)


# Reading.


@pytest.mark.parametrize(
    ("mode", "file_format", "mime", "depth"),
    [
        ("RGB", "PNG", "image/png", 24),
        ("RGBA", "PNG", "image/png", 32),
        ("L", "PNG", "image/png", 8),
        ("LA", "PNG", "image/png", 16),
        ("1", "PNG", "image/png", 1),
        ("RGB", "JPEG", "image/jpeg", 24),
        ("L", "JPEG", "image/jpeg", 8),
        ("CMYK", "JPEG", "image/jpeg", 32),
        ("RGB", "WEBP", "image/webp", 24),
    ],
)
def test_a_picture_is_described_by_its_bytes(
    mode: str, file_format: str, mime: str, depth: int
) -> None:
    stream = io.BytesIO()
    Image.new(mode, (20, 10)).save(stream, file_format)

    assert Picture.parse(stream.getvalue()) == Picture(
        data=stream.getvalue(), mime=mime, width=20, height=10, depth=depth
    )


def test_the_size_of_a_palette_is_told() -> None:
    stream = io.BytesIO()
    Image.fromarray(_pixels()).quantize(5).save(stream, "PNG")
    data = stream.getvalue()
    at = data.index(b"PLTE")

    picture = Picture.parse(data)

    assert picture.colors == int.from_bytes(data[at - 4 : at], "big") // 3
    assert picture.depth == 8


@pytest.mark.parametrize(
    ("name", "file_format", "mime", "extension"),
    [("cover.png", "jpeg", "image/jpeg", ".jpg"), ("cover.jpg", "png", "image/png", ".png")],
)
def test_a_wrong_extension_deceives_nobody(
    tmp_path: Path, name: str, file_format: str, mime: str, extension: str
) -> None:
    path = tmp_path / name
    path.write_bytes(picture_bytes(file_format))

    picture = Picture.parse(path.read_bytes())

    assert (picture.mime, picture.extension) == (mime, extension)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 1000,
        b"no picture at all\n" * 50,
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a readable image"):
        Picture.parse(data)


@pytest.mark.parametrize("file_format", ["png", "jpeg"])
def test_a_picture_that_ends_early_is_refused_or_described_as_it_was(file_format: str) -> None:
    whole = Picture.parse(picture_bytes(file_format))
    refused = 0
    for end in range(len(whole.data)):
        try:
            picture = Picture.parse(whole.data[:end])
        except ValueError:
            refused += 1
        else:
            assert (picture.mime, picture.width, picture.height) == (whole.mime, 32, 32)
    assert refused >= 24  # before the size there is nothing to describe


@pytest.mark.parametrize("encoding", [_PNG, _JPEG], ids=["png", "jpeg"])
def test_what_painted_a_cover_is_read_from_it(encoding: Encoding) -> None:
    assert read_provenance(encode(_cover(), encoding).data) == _PROVENANCE


def test_a_cover_that_says_nothing_of_saving_was_painted_with_none() -> None:
    texts = {**_TEXTS, "covergen:album_key": "k"}
    for name in ("guided_from", "guided_until", "reuse", "finish", "inks", "style"):
        del texts[f"covergen:{name}"]
    found = read_provenance(_png_with(texts))
    assert found == replace(
        _PROVENANCE,
        album_key="k",
        guided_from=0.0,
        guided_until=1.0,
        reuse=1,
        finish="none",
        inks=6,
        style="",
    )


def _png_with(texts: dict[str, str]) -> bytes:
    chunks = PngInfo()
    for name, value in texts.items():
        chunks.add_text(name, value)
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG", pnginfo=chunks)
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"covergen:version",
        picture_bytes("png"),
        picture_bytes("jpeg"),
        encode(_cover(), _PNG).data[:300],
        _png_with({**_TEXTS, "covergen:album_key": "k", "covergen:guidance": "nan"}),
        _png_with({**_TEXTS, "covergen:album_key": "k", "covergen:guided_until": "inf"}),
        encode(_cover(), _JPEG).data.replace(b'"starter"', b'"\\ud800r"'),
        _png_with({"covergen:version": "1"}),
        _png_with({**_TEXTS, "covergen:album_key": "k", "covergen:seed": "many"}),
        _png_with({**_TEXTS, "covergen:album_key": "k", "covergen:seed": "9" * 5000}),
        encode(_cover(), _JPEG).data.replace(b'{"covergen', b'["covergen'),
        encode(_cover(), _JPEG).data.replace(b'{"covergen:version": "1.2.3"', b"[" * 28),
    ],
)
def test_what_is_not_whole_painted_nothing(data: bytes) -> None:
    assert read_provenance(data) is None


def test_postscript_is_no_picture_since_pillow_would_run_it(tmp_path: Path) -> None:
    path = tmp_path / "cover.png"
    Image.new("RGB", (8, 8)).save(path, "EPS")
    with pytest.raises(OSError, match="cannot identify"):
        open_picture(path)
    with pytest.raises(ValueError, match="not a readable image"):
        Picture.parse(path.read_bytes())


@pytest.mark.parametrize("side", [8193, 10_000, 60_000])
def test_more_pixels_than_a_cover_has_are_an_error_and_no_warning(side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    data += struct.pack(">I", zlib.crc32(chunk)) + struct.pack(">I", 0) + b"IDAT"
    with pytest.raises(ValueError, match="pixels"):
        open_picture(io.BytesIO(data))
    with pytest.raises(ValueError, match="not a readable image"):
        Picture.parse(data)


@pytest.mark.parametrize(
    "form", ["png", "jpeg", "webp", "gif", "bmp", "tiff", "avif", "jpeg2000", "ppm"]
)
def test_every_kind_of_image_is_known_by_its_beginning(form: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, form)
    assert is_image(stream.getvalue())
    assert is_image(stream.getvalue()[:512])


@pytest.mark.parametrize(
    "head",
    [b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x18ftypheic"],
    ids=["JPEG XL", "JPEG XL in a container", "HEIF"],
)
def test_kinds_that_pillow_lacks_are_known_too(head: bytes) -> None:
    assert is_image(head + bytes(100))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG\r\n\x1a\n", bytes(600), b"not a picture at all" * 20, b"BMW and other cars" * 9,
     b"RIFF\0\0\0\0WAVEfmt " + bytes(600), b"\0\0\0\x18ftypM4A " + bytes(600),
     b"<svg xmlns='http://www.w3.org/2000/svg'>" * 20, b"%PDF-1.7" + bytes(600)],
    ids=["empty", "cut off", "zeros", "text", "BM", "WAV", "M4A", "SVG", "PDF"],
)  # fmt: skip
def test_what_is_no_image_is_none(data: bytes) -> None:
    assert not is_image(data)


def test_an_image_behind_bytes_of_its_description_is_one() -> None:
    assert is_image(b"\0cover\0" + picture_bytes("jpeg"))
    assert not is_image(bytes(4096) + picture_bytes("jpeg"))
