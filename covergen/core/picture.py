"""Encoded pictures, and the encoding and decoding of painted covers with their provenance."""

from __future__ import annotations

import io
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from PIL.Image import Image as PillowImage

    from covergen.core.types import Cover, Provenance

__all__ = [
    "LEAST_BYTES",
    "PURPOSES",
    "Encoding",
    "Picture",
    "decode",
    "encode",
    "is_image",
    "is_own",
    "open_picture",
    "read_jpeg_quality",
    "read_provenance",
    "shrunk_to_fit",
]

# Formats used for covers. Pillow supports more, such as PostScript, which it would execute.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
_MAX_PALETTE_COLORS = 256
_BLENDS = 4  # colors kept for each flat color of a scaled PNG
_QUALITY = "covergen:jpeg_quality"
_MAX_PIXELS = 1 << 26  # 8192 × 8192; decoding more would take gigabytes

# How images begin: those that Pillow opens, and JPEG XL and HEIF, which others show. The last line
# is of files by ISO/IEC 14496-12, and what they are for.
_IMAGE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|BM....\0{4}|II\*\0|MM\0\*|P[1-7]\s"
    rb"|\xff\x0a|....JXL \r\n\x87\n|....jP  \r\n\x87\n|\xff\x4f\xff\x51"
    rb"|....ftyp(?:avi[fs]|hei[cfmsx]|hev[cx]|mif1|msf1)",
    re.DOTALL,
)
# Some programs leave bytes of a picture's description in front of it.
_IMAGE_BEHIND = re.compile(rb".{0,255}(?:\xff\xd8\xff|\x89PNG\r\n\x1a\n)", re.DOTALL)
_SMALLEST_BYTES = 26  # a GIF of one pixel
_MAX_SIDE = 4096  # pixels; painted covers are never larger
_SMALLEST_SIDE = 64
_QUALITY_STEP, _LOWEST_QUALITY = 5, 60  # of JPEGs that have to be small
LEAST_BYTES = 1 << 14
"""The smallest limit for the size of a cover: a picture of 64 pixels and its provenance fit in."""

_FILTERS = Lock()  # filters of warnings are those of all threads

_MODE_BITS = {"1": 1, "L": 8, "P": 8, "LA": 16, "RGB": 24, "RGBA": 32, "CMYK": 32, "I;16": 16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An encoded image. `depth` is in bits per pixel; `colors` is the palette size, or 0."""

    data: bytes
    mime: str
    width: int
    height: int
    depth: int
    colors: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Picture:
        """Read the size and type from the data itself, not from the tag that contains it.

        Raises ValueError if Pillow cannot open the data.
        """
        from PIL import Image

        try:
            with open_picture(io.BytesIO(data)) as image:
                kind = "JPEG" if image.format == "MPO" else image.format  # JPEG first
                mime = Image.MIME.get(kind or "", "")
                palette = image.palette.palette if image.mode == "P" and image.palette else b""
                width, height = image.size
                depth = _MODE_BITS.get(image.mode, 24)
        except (OSError, RuntimeError, SyntaxError, ValueError) as error:
            raise ValueError(f"not a readable image: {error}") from error
        if not mime:
            raise ValueError("an image of unknown MIME type")
        return cls(
            data=data, mime=mime, width=width, height=height, depth=depth, colors=len(palette) // 3
        )

    @property
    def extension(self) -> str:
        """The usual file extension, with the dot."""
        return {"image/jpeg": ".jpg", "image/png": ".png"}.get(
            self.mime, "." + self.mime.rpartition("/")[2]
        )


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


def open_picture(source: Path | BinaryIO) -> PillowImage:
    """Open a picture in one of the supported formats without decoding it.

    Raises whatever Pillow raises, and ValueError for more than 8192 × 8192 pixels.
    """
    import warnings

    from PIL import Image

    Image.init()
    formats = [name for name in _FORMATS if name in Image.OPEN]  # AVIF is optional in Pillow
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(source, formats=formats)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise ValueError(f"it has too many pixels for a cover: {error}") from error
    if image.width * image.height > _MAX_PIXELS:
        image.close()
        raise ValueError(f"it is too large: {image.width} × {image.height} pixels")
    return image


def is_image(head: bytes) -> bool:
    """Whether an image begins here, by its magic number: whole or not, players try to show it.

    `head` is all of a picture, or its first bytes: 512 are enough.
    """
    found = _IMAGE.match(head) or _IMAGE_BEHIND.match(head)
    return found is not None and len(head) >= _SMALLEST_BYTES


def is_own(data: bytes) -> bool:
    """Whether an encoded image contains provenance written by `encode`."""
    return b"covergen:version" in data[:4096]


def read_provenance(data: bytes) -> Provenance | None:
    """Return the provenance of an encoded image, or None if it is missing or incomplete."""
    import math

    from covergen.core.types import Provenance

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
    import json

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
    import json

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
    import json

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

    from covergen.core.types import Cover, Provenance

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
