"""A picture as the bytes that go into a file, and the encoding of a painted cover into them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from covergen.core.types import Cover

__all__ = ["Encoding", "Picture", "encode"]

_MODE_BITS = {"1": 1, "L": 8, "P": 8, "LA": 16, "RGB": 24, "RGBA": 32, "CMYK": 32, "I;16": 16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An encoded image. `depth` is bits a pixel; `colors` is the palette's size, 0 without one."""

    data: bytes
    mime: str
    width: int
    height: int
    depth: int
    colors: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Picture:
        """Read size and type from the bytes themselves, whatever a tag says of them.

        Raises ValueError where the bytes are no image that Pillow knows.
        """
        from PIL import Image

        try:
            with Image.open(io.BytesIO(data)) as image:
                mime = Image.MIME.get(image.format or "", "")
                palette = image.palette.palette if image.mode == "P" and image.palette else b""
                width, height = image.size
                depth = _MODE_BITS.get(image.mode, 24)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"not a readable image: {error}") from error
        if not mime:
            raise ValueError("an image of no known MIME type")
        return cls(
            data=data, mime=mime, width=width, height=height, depth=depth, colors=len(palette) // 3
        )

    @property
    def extension(self) -> str:
        """The usual file extension, with its dot."""
        return {"image/jpeg": ".jpg", "image/png": ".png"}.get(
            self.mime, "." + self.mime.rpartition("/")[2]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How covers are encoded. `size` is the side in pixels, None for the painted size.

    `quality` (1 to 95) is JPEG's alone.
    """

    format: Literal["png", "jpeg"] = "png"
    size: int | None = None
    quality: int = 90


def encode(cover: Cover, encoding: Encoding) -> Picture:
    """Encode a cover with its provenance, in PNG text chunks or the JPEG comment.

    JPEG is baseline, since some players show no progressive pictures.
    """
    import json

    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    image = Image.fromarray(cover.pixels)
    if encoding.size is not None and image.size != (encoding.size, encoding.size):
        image = image.resize((encoding.size, encoding.size), Image.Resampling.LANCZOS)
    texts = cover.provenance.as_texts()
    stream = io.BytesIO()
    if encoding.format == "png":
        chunks = PngInfo()
        for name, value in texts.items():
            chunks.add_itxt(name, value)
        image.save(stream, "PNG", pnginfo=chunks, optimize=True)
    else:
        image.save(
            stream,
            "JPEG",
            quality=encoding.quality,
            subsampling=0,
            progressive=False,
            comment=json.dumps(texts).encode(),
        )
    return Picture(
        data=stream.getvalue(),
        mime=f"image/{encoding.format}",
        width=image.width,
        height=image.height,
        depth=24,
    )
