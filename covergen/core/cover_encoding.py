"""Encode covers as PNG or JPEG with their provenance, and read both back."""

from __future__ import annotations

import io
import json
import math
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from covergen.core.cover import Cover, Provenance
from covergen.core.picture import Picture, open_picture

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage


_MAX_PALETTE_COLORS = 256
_BLENDS = 4  # colors kept for each flat color of a scaled PNG
_QUALITY = "covergen:jpeg_quality"
_MAX_SIDE = 4096  # pixels; painted covers are never larger
_SMALLEST_SIDE = 64
_QUALITY_STEP, _LOWEST_QUALITY = 5, 60  # of JPEGs that have to be small
LEAST_BYTES = 1 << 14
"""The smallest limit for the size of a cover: a picture of 64 pixels and its provenance fit in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How covers are encoded. `size` is the side in pixels, or None for the painted size.

    `quality` (1 to 95) applies to JPEG only. A picture of more than `max_bytes` is encoded again at
    a lower quality, down to 60, and then with fewer pixels, down to 64 × 64.
    """

    format: Literal["png", "jpeg"] = "png"
    size: int | None = None
    quality: int = 90
    max_bytes: int | None = None


PURPOSES = {
    "player": Encoding(format="jpeg", size=600, quality=85, max_bytes=200_000),
    "archive": Encoding(format="png", size=1024),
    "release": Encoding(format="jpeg", size=3000, quality=95, max_bytes=10_000_000),
}
"""Encodings by purpose: for portable players, for one's own library, and for stores."""


def is_own(data: bytes) -> bool:
    """Whether an encoded image contains provenance written by `encode`."""
    return b"covergen:version" in data[:4096]


def read_provenance(data: bytes) -> Provenance | None:
    """Return the provenance of an encoded image, or None if it is missing or incomplete."""
    try:
        texts = _texts(data)
        # The round trip through bytes rejects lone surrogates, which cannot be printed.
        valid = {str(name): str(text).encode().decode() for name, text in texts.items()}
        provenance = Provenance.from_texts(valid)
        numbers = (provenance.guidance, provenance.guided_from, provenance.guided_until)
        return provenance if all(map(math.isfinite, numbers)) else None
    except (AttributeError, KeyError, OSError, RuntimeError, SyntaxError, ValueError):
        return None


def read_jpeg_quality(data: bytes) -> int | None:
    """Return the quality that `encode` recorded in a JPEG, or None if there is none."""
    try:
        return int(_texts(data)[_QUALITY])
    except (AttributeError, KeyError, OSError, RuntimeError, SyntaxError, TypeError, ValueError):
        return None


def _texts(data: bytes) -> Any:  # noqa: ANN401 - the comment may be any JSON
    with open_picture(io.BytesIO(data)) as image:
        return json.loads(image.info["comment"]) if image.format == "JPEG" else image.info


def encode(cover: Cover, encoding: Encoding) -> Picture:
    """Encode a cover with its provenance in PNG text chunks or the JPEG comment.

    A PNG with at most 256 colors gets a palette, which makes it several times smaller. JPEGs are
    baseline, because some players cannot show progressive ones.
    """
    from PIL import Image

    image = Image.fromarray(cover.pixels)
    return Picture.parse(_encoded(image, cover.provenance.as_texts(), encoding))


def shrunk_to_fit(picture: Picture, most_bytes: int | None) -> Picture:
    """Return the picture itself if it has at most `most_bytes`, otherwise a JPEG of it that does.

    The best quality that fits is taken, then the largest side. Its provenance stays. What cannot be
    opened is left as it is.
    """
    if most_bytes is None or len(picture.data) <= most_bytes:
        return picture
    return _shrunk(picture, most_bytes)


@lru_cache(maxsize=1)  # the tracks of an album get the same picture
def _shrunk(picture: Picture, most_bytes: int) -> Picture:
    try:
        with open_picture(io.BytesIO(picture.data)) as image:
            texts = _provenance_texts(image)
            pixels = _as_shown(image)
        return Picture.parse(_encoded(pixels, texts, Encoding(format="jpeg", max_bytes=most_bytes)))
    except (OSError, RuntimeError, SyntaxError, ValueError):
        return picture


def _as_shown(image: PillowImage) -> PillowImage:
    """Return an image in sRGB and upright, as programs show it that read its profile and EXIF."""
    from PIL import ImageCms, ImageOps

    profile = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image)
    if profile:
        with suppress(ImageCms.PyCMSError, OSError, ValueError):  # a damaged profile
            source, shown = (
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
            )
            converted = ImageCms.profileToProfile(upright, source, shown, outputMode="RGB")
            if converted is not None:
                return converted
    return upright.convert("RGB")


def _provenance_texts(image: PillowImage) -> dict[str, str]:
    texts = image.info
    if image.format == "JPEG":
        comment = image.info.get("comment", b"")
        texts = json.loads(comment) if is_own(comment) else {}
    return {str(n): str(t) for n, t in texts.items() if str(n).startswith("covergen:")}


def _encoded(image: PillowImage, texts: dict[str, str], encoding: Encoding) -> bytes:
    """Encode at the best quality, and then the largest size, within `encoding.max_bytes`."""
    side, quality = encoding.size or max(image.size), encoding.quality
    if encoding.format == "png":
        image = _with_palette(image)
    data = _attempt(_scaled(image, side), texts, encoding.format, quality)
    most = encoding.max_bytes
    while most is not None and len(data) > most:
        if encoding.format == "jpeg" and quality > _LOWEST_QUALITY:
            quality = max(_LOWEST_QUALITY, quality - _QUALITY_STEP)
        elif side > _SMALLEST_SIDE:
            side = max(_SMALLEST_SIDE, side * 7 // 8)
        else:
            break
        data = _attempt(_scaled(image, side), texts, encoding.format, quality)
    return data


def _scaled(image: PillowImage, side: int) -> PillowImage:
    """Scale to `side` pixels on the longer side."""
    from PIL import Image

    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    if (width, height) == image.size:
        return image
    scaled = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    if image.mode != "P":
        return scaled
    # Scaling blends colors: with all of these, a smaller PNG would have more bytes.
    colors = min(_BLENDS * len(image.getcolors() or ()), _MAX_PALETTE_COLORS)
    return scaled.quantize(colors, dither=Image.Dither.NONE)


def _attempt(
    image: PillowImage, texts: dict[str, str], kind: Literal["png", "jpeg"], quality: int
) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    stream = io.BytesIO()
    if kind == "png":
        chunks = PngInfo()
        for name, value in texts.items():
            chunks.add_itxt(name, value)
        image.save(stream, "PNG", pnginfo=chunks)
    else:
        image.save(
            stream,
            "JPEG",
            quality=quality,
            subsampling=0,
            progressive=False,
            comment=json.dumps({**texts, _QUALITY: str(quality)}).encode() if texts else b"",
        )
    return stream.getvalue()


def _with_palette(image: PillowImage) -> PillowImage:
    """Convert the image to a palette if it has at most 256 colors; otherwise return it as it is."""
    import numpy as np
    from PIL import Image

    pixels = np.asarray(image).astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    if len(np.unique(pixels[::8, ::8])) > _MAX_PALETTE_COLORS:  # a quick check on a sample
        return image
    colors, indices = np.unique(pixels, return_inverse=True)
    if len(colors) > _MAX_PALETTE_COLORS:
        return image
    indexed = Image.fromarray(indices.reshape(pixels.shape).astype(np.uint8), "P")
    indexed.putpalette(
        np.stack([colors >> 16, colors >> 8 & 255, colors & 255], 1).ravel().tolist()
    )
    return indexed


def decode(data: bytes) -> Cover:
    """Decode a PNG that `encode` wrote. Raises ValueError for anything else."""
    import numpy as np
    from PIL import Image

    # The first chunk holds the size; check it before Pillow allocates memory.
    width, height = (int.from_bytes(data[start : start + 4]) for start in (16, 20))
    if max(width, height) > _MAX_SIDE:
        raise ValueError(f"it is too large: {width} × {height} pixels")
    _check_png_checksums(data)
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.load()
            texts = {str(name): str(text) for name, text in image.info.items()}
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, RuntimeError, SyntaxError, ValueError) as error:
        raise ValueError(f"not a complete PNG: {error}") from error
    return Cover(pixels=pixels, provenance=Provenance.from_texts(texts))


def _check_png_checksums(data: bytes) -> None:
    """Raise ValueError if a chunk does not match its checksum; Pillow ignores that of the pixels.

    Source: PNG specification (third edition), section 5.3.
    """
    position, kind = 8, b""
    while position < len(data) and kind != b"IEND":  # what follows is not part of the picture
        end = position + 8 + int.from_bytes(data[position : position + 4])
        kind = data[position + 4 : position + 8]
        if zlib.crc32(data[position + 4 : end]).to_bytes(4) != data[end : end + 4]:
            raise ValueError("not a complete PNG: a checksum does not match")
        position = end + 4
