"""Encoded covers are what every player accepts; pictures that are read may be anything."""

import io
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw
from PIL.PngImagePlugin import PngInfo

from covergen.core.cover import Cover
from covergen.core.cover_encoding import (
    PURPOSES,
    Encoding,
    decode,
    encode,
    is_own,
    read_jpeg_quality,
    read_provenance,
    shrunk_to_fit,
)
from covergen.core.picture import Picture, is_image, open_picture
from tests.media import picture_bytes
from tests.values import FULL_PROVENANCE as _PROVENANCE
from tests.values import PROVENANCE_TEXTS

_TEXTS = {f"covergen:{name}": text for name, text in PROVENANCE_TEXTS.items()}
_PNG, _JPEG = Encoding(format="png"), Encoding(format="jpeg")
_BOTH = pytest.mark.parametrize("encoding", [_PNG, _JPEG], ids=["png", "jpeg"])
_START_OF_FRAME = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive"}


def _pixels(side: int = 64) -> NDArray[np.uint8]:
    """A gradient in each channel, which JPEG preserves well."""
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
    """The coding process, from the frame header's marker (ITU-T T.81, table B.1)."""
    position = 2
    while data[position + 1] not in _START_OF_FRAME:
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return _START_OF_FRAME[data[position + 1]]


# Encoding.


@pytest.mark.parametrize("quality", [1, 37, 95])
def test_jpeg_records_its_quality(quality: int) -> None:
    data = encode(_cover(), Encoding(format="jpeg", quality=quality)).data
    assert read_jpeg_quality(data) == quality


def test_pictures_without_a_recorded_quality_have_none() -> None:
    for data in (encode(_cover(), _PNG).data, picture_bytes("jpeg", 8), b"no picture"):
        assert read_jpeg_quality(data) is None


def test_png_has_exact_pixels_and_provenance_as_text() -> None:
    image = _opened(encode(_cover(), _PNG))
    assert image.format == "PNG"
    assert image.text == _TEXTS
    np.testing.assert_array_equal(np.asarray(image), _pixels())


def test_png_is_compressed_at_a_level_that_is_not_slower_than_painting() -> None:
    """Level 9 takes nine times as long as level 6 and saves 7 % (RFC 1950: 0xDA and 0x9C)."""
    data = encode(_cover(), _PNG).data
    start = data.index(b"IDAT") + 4
    assert data[start : start + 2] == b"\x78\x9c"


def test_png_with_few_colors_has_a_palette() -> None:
    pixels = np.kron(np.random.default_rng(0).integers(0, 5, (16, 16)), np.ones((16, 16)))
    pixels = np.stack([pixels * 50, 255 - pixels * 50, pixels], axis=-1).astype(np.uint8)
    picture = encode(Cover(pixels=pixels, provenance=_PROVENANCE), _PNG)
    image = _opened(picture)
    assert image.mode == "P"
    assert image.text == _TEXTS
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), pixels)
    assert picture.depth == 8
    assert picture.colors >= 5


def test_jpeg_is_baseline_with_provenance_as_comment() -> None:
    picture = encode(_cover(), _JPEG)
    image = _opened(picture)
    assert image.format == "JPEG"
    assert _jpeg_kind(picture.data) == "baseline"
    assert json.loads(image.info["comment"]) == {**_TEXTS, "covergen:jpeg_quality": "90"}
    assert np.abs(np.asarray(image).astype(int) - _pixels()).mean() < 3


@_BOTH
def test_encoded_cover_is_described_correctly(encoding: Encoding) -> None:
    picture = encode(_cover(), encoding)
    assert picture == Picture.parse(picture.data)
    assert (picture.width, picture.height, picture.depth, picture.colors) == (64, 64, 24, 0)
    for size in (16, 100):
        resized = encode(_cover(), replace(encoding, size=size))
        assert (resized.width, resized.height) == _opened(resized).size == (size, size)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize("most", [20_000, 60_000, 150_000])
def test_a_limit_in_bytes_costs_quality_and_then_pixels(
    kind: Literal["png", "jpeg"], most: int
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    cover = Cover(pixels=noise, provenance=_PROVENANCE)
    encoding = Encoding(format=kind, quality=95)
    limited = encode(cover, replace(encoding, max_bytes=most))
    assert most // 2 < len(limited.data) <= most < len(encode(cover, encoding).data)
    assert read_provenance(limited.data) == _PROVENANCE
    whole_at_60 = len(encode(cover, replace(encoding, quality=60)).data)
    assert (limited.width == 256) == (kind == "jpeg" and whole_at_60 <= most)


def test_a_png_with_few_colors_keeps_a_palette_when_it_is_scaled() -> None:
    canvas, random = Image.new("RGB", (1024, 1024), "navy"), np.random.default_rng(0)
    for color in ("red", "white", "gold", "teal") * 200:
        x, y = random.integers(0, 1024, 2).tolist()
        ImageDraw.Draw(canvas).ellipse((x - 20, y - 20, x + 20, y + 20), color)
    pixels = np.asarray(canvas)
    cover = Cover(pixels=pixels, provenance=_PROVENANCE)
    whole = encode(cover, _PNG)
    limited = encode(cover, replace(_PNG, max_bytes=45_000))
    assert len(whole.data) > 45_000
    assert limited.colors
    assert limited.width > 400
    assert limited == encode(cover, replace(_PNG, size=limited.width))
    exact = canvas.resize((limited.width,) * 2, Image.Resampling.LANCZOS)
    shown = np.asarray(_opened(limited).convert("RGB")).astype(int)
    assert np.abs(shown - np.asarray(exact)).mean() < 5


def test_a_photo_is_shrunk_upright_and_in_its_colors() -> None:
    noise = np.random.default_rng(0).integers(0, 40, (200, 300, 3), np.uint8)
    noise[:100] += 200  # bright above, dark below, but lying on its side
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    red, stream = ImageCms.createProfile("sRGB"), io.BytesIO()
    profile = bytearray(ImageCms.ImageCmsProfile(red).tobytes())
    place = profile.index(b"rXYZ", 128)  # exchange the entries of red and blue
    other = profile.index(b"bXYZ", 128)
    profile[place : place + 4], profile[other : other + 4] = b"bXYZ", b"rXYZ"
    noise[..., 2] //= 4
    Image.fromarray(noise).save(stream, "JPEG", quality=95, exif=exif, icc_profile=bytes(profile))
    shown = _opened(shrunk_to_fit(Picture.parse(stream.getvalue()), 20_000)).convert("RGB")
    pixels = np.asarray(shown).astype(int)
    assert shown.height > shown.width
    width = shown.width // 2
    assert pixels[:, width:].mean() > pixels[:, :width].mean() + 50
    assert pixels[..., 2].mean() > pixels[..., 0].mean() + 20


def test_a_cover_within_the_limit_is_not_encoded_otherwise() -> None:
    for encoding in (_PNG, _JPEG):
        whole = encode(_cover(), encoding)
        assert encode(_cover(), replace(encoding, max_bytes=len(whole.data))) == whole


def test_a_limited_jpeg_equals_one_of_that_size_and_quality() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    cover = Cover(pixels=noise, provenance=_PROVENANCE)
    limited = encode(cover, Encoding(format="jpeg", max_bytes=20_000))
    again = Encoding(format="jpeg", size=limited.width, quality=60)
    assert encode(cover, again) == limited


@pytest.mark.parametrize(
    ("purpose", "kind", "side", "most"),
    [
        ("player", "JPEG", 600, 200_000),
        ("archive", "PNG", 1024, None),
        ("release", "JPEG", 3000, 10_000_000),
    ],
)
def test_purposes(purpose: str, kind: str, side: int, most: int | None) -> None:
    picture = encode(_cover(300), PURPOSES[purpose])
    image = _opened(picture)
    assert (image.format, image.mode, image.size) == (kind, "RGB", (side, side))
    assert most is None or len(picture.data) <= most
    if kind == "JPEG":
        assert _jpeg_kind(picture.data) == "baseline"


# Provenance.


@_BOTH
def test_provenance_is_recognized_and_read_back(encoding: Encoding) -> None:
    for side in (8, 512):
        data = encode(_cover(side), encoding).data
        assert is_own(data)
        assert read_provenance(data) == _PROVENANCE


@pytest.mark.parametrize("data", [picture_bytes("png"), picture_bytes("jpeg"), b""])
def test_other_pictures_are_not_own(data: bytes) -> None:
    assert not is_own(data)


def test_provenance_of_earlier_versions_gets_defaults() -> None:
    texts = {**_TEXTS, "covergen:album_key": "k"}
    for name in ("guided_from", "guided_until", "reuse", "finish", "inks", "style", "negative",
                 "per", "run_seed"):  # fmt: skip
        del texts[f"covergen:{name}"]
    assert read_provenance(_png_with(texts)) == replace(
        _PROVENANCE, album_key="k", guided_from=0.0, guided_until=1.0, reuse=1, finish="none",
        inks=6, style="", negative="", per="", run_seed=-1,
    )  # fmt: skip


def _png_with(texts: dict[str, str], *, compressed: bool = False) -> bytes:
    chunks = PngInfo()
    for name, value in texts.items():
        chunks.add_text(name, value, zip=compressed)
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG", pnginfo=chunks)
    return stream.getvalue()


def _png_but(**values: str) -> bytes:
    """A PNG with the provenance, but for some fields."""
    other = {f"covergen:{name}": value for name, value in values.items()}
    return _png_with({**_TEXTS, "covergen:album_key": "k", **other})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"covergen:version",
        picture_bytes("png"),
        picture_bytes("jpeg"),
        encode(_cover(), _PNG).data[:300],
        _png_with({"covergen:version": "1"}),
        _png_but(guidance="nan"),
        _png_but(guided_until="inf"),
        _png_but(seed="many"),
        _png_but(seed="9" * 5000),
        encode(_cover(), _JPEG).data.replace(b'"starter"', b'"\\ud800r"'),
        encode(_cover(), _JPEG).data.replace(b'{"covergen', b'["covergen'),
        encode(_cover(), _JPEG).data.replace(b'{"covergen:version": "1.2.3"', b"[" * 28),
    ],
)
def test_incomplete_or_invalid_provenance_is_none(data: bytes) -> None:
    assert read_provenance(data) is None


# Parsing.


@pytest.mark.parametrize(
    ("mode", "file_format", "mime", "depth"),
    [
        ("RGB", "PNG", "image/png", 24),
        ("RGBA", "PNG", "image/png", 32),
        ("L", "PNG", "image/png", 8),
        ("LA", "PNG", "image/png", 16),
        ("1", "PNG", "image/png", 1),
        ("RGB", "JPEG", "image/jpeg", 24),
        ("CMYK", "JPEG", "image/jpeg", 32),
        ("RGB", "WEBP", "image/webp", 24),
    ],
)
def test_picture_is_described_from_its_data(
    mode: str, file_format: str, mime: str, depth: int
) -> None:
    stream = io.BytesIO()
    Image.new(mode, (20, 10)).save(stream, file_format)
    picture = Picture.parse(stream.getvalue())
    assert picture == Picture(data=stream.getvalue(), mime=mime, width=20, height=10, depth=depth)
    assert picture.extension == {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}[file_format]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 1000,
        b"not a picture at all\n" * 50,
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
def test_data_that_is_not_a_picture_is_rejected(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a readable image"):
        Picture.parse(data)


@pytest.mark.parametrize("file_format", ["png", "jpeg"])
def test_truncated_picture_is_rejected_or_described_correctly(file_format: str) -> None:
    whole = Picture.parse(picture_bytes(file_format))
    rejected = 0
    for end in range(len(whole.data)):
        try:
            picture = Picture.parse(whole.data[:end])
        except ValueError:
            rejected += 1
        else:
            assert (picture.mime, picture.width, picture.height) == (whole.mime, 32, 32)
    assert rejected >= 24  # the size comes after the first 24 bytes


def test_postscript_is_rejected_because_pillow_would_execute_it(tmp_path: Path) -> None:
    path = tmp_path / "cover.png"
    Image.new("RGB", (8, 8)).save(path, "EPS")
    with pytest.raises(OSError, match="cannot identify"):
        open_picture(path)
    with pytest.raises(ValueError, match="not a readable image"):
        Picture.parse(path.read_bytes())


@pytest.mark.parametrize("side", [8193, 10_000, 60_000])
def test_too_many_pixels_are_an_error(side: int) -> None:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
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


# Decoding.

_SMOOTH = np.linspace(0, 255, 3 * 48 * 48).reshape(48, 48, 3).astype(np.uint8)
_ENCODED = encode(Cover(pixels=_SMOOTH, provenance=_PROVENANCE), _PNG).data


def _is_rejected_or_unchanged(data: bytes) -> bool:
    try:
        cover = decode(data)
    except ValueError:
        return True
    return np.array_equal(cover.pixels, _SMOOTH) and cover.provenance == _PROVENANCE


def test_damaged_data_never_gives_another_cover() -> None:
    cover = decode(_ENCODED)
    assert np.array_equal(cover.pixels, _SMOOTH)
    assert cover.provenance == _PROVENANCE
    assert encode(cover, _PNG).data == _ENCODED
    random = np.random.default_rng(1)
    for position in random.integers(0, len(_ENCODED), 300):
        data = bytearray(_ENCODED)
        data[position] ^= 1 << int(random.integers(8))
        assert _is_rejected_or_unchanged(bytes(data))
        assert _is_rejected_or_unchanged(_ENCODED[:position])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (picture_bytes("png"), "lacks"),
        (_png_but(seed="many"), "many"),
        (_ENCODED[: len(_ENCODED) // 2], "not a complete PNG"),
        (_png_with({"bomb": "0" * 50_000_000}, compressed=True), "not a complete PNG"),
        (_ENCODED[:16] + (70_000).to_bytes(4) * 2 + _ENCODED[24:], "70000 × 70000"),
    ],
    ids=["foreign", "not a number", "truncated", "text bomb", "pixel bomb"],
)
def test_other_pictures_are_not_decoded(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(data)
