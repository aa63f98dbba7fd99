"""Encoded pictures of any origin: opened with limits, and recognized."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage


# Formats used for covers. Pillow supports more, such as PostScript, which it would execute.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
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
