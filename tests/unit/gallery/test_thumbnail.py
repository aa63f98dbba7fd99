"""Thumbnails of any kind of picture, written atomically."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from covergen.gallery.thumbnail import fitted, save_thumbnail


def halves(height: int, width: int) -> NDArray[np.uint8]:
    """Red on the left, blue on the right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = pixels[:, width // 2 :, 2] = 255
    return pixels


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def test_thumbnail_is_a_small_jpeg_of_the_picture(tmp_path: Path) -> None:
    pixels = halves(512, 512)
    file, thumbnail = tmp_path / "large.png", tmp_path / "small.jpg"
    Image.fromarray(pixels).save(file)
    for picture in (pixels, file, file.read_bytes()):
        save_thumbnail(picture, thumbnail, side=64)
        with Image.open(thumbnail) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 64))
            found = np.asarray(image)
        np.testing.assert_allclose(found[32, 8], (255, 0, 0), atol=6)
        np.testing.assert_allclose(found[32, 56], (0, 0, 255), atol=6)
        assert thumbnail.stat().st_size < 3000
        thumbnail.unlink()


@pytest.mark.parametrize(
    ("shape", "size"), [((50, 200), (40, 10)), ((9, 3), (13, 40)), ((1, 9000), (40, 1))]
)
def test_proportions_are_kept(shape: tuple[int, int], size: tuple[int, int]) -> None:
    assert fitted(halves(*shape), 40).size == size


def test_any_mode_becomes_rgb_with_transparency_as_black() -> None:
    transparent = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    assert fitted(png(transparent), 8).getpixel((4, 4)) == (0, 0, 0)
    for mode in ("P", "I;16"):
        assert fitted(png(Image.new(mode, (8, 8))), 8).mode == "RGB"


@pytest.mark.parametrize(
    "data", [None, b"", b"not a picture", png(Image.fromarray(halves(64, 64)))[:60]]
)
def test_unreadable_picture_is_a_value_error(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "picture.png"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ValueError, match="not a readable image"):
        save_thumbnail(path, tmp_path / "small.jpg")
    assert not (tmp_path / "small.jpg").exists()
