"""Pictures of any kind to small ones; what is written is whole or not there."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from covergen.gallery.pictures import fitted, replacing
from covergen.gallery.thumbnail import save_thumbnail


def halves(height: int, width: int) -> NDArray[np.uint8]:
    """Red on the left, blue on the right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = pixels[:, width // 2 :, 2] = 255
    return pixels


def test_a_thumbnail_is_the_picture_and_small(tmp_path: Path) -> None:
    pixels = halves(512, 512)
    file, small_file = tmp_path / "large.png", tmp_path / "small.jpg"
    Image.fromarray(pixels).save(file)
    for picture in (pixels, file, file.read_bytes()):
        save_thumbnail(picture, small_file, side=64)
        with Image.open(small_file) as small:
            assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (64, 64))
            found = np.asarray(small)
        np.testing.assert_allclose(found[32, 8], (255, 0, 0), atol=6)
        np.testing.assert_allclose(found[32, 56], (0, 0, 255), atol=6)
        assert small_file.stat().st_size < 3000
        small_file.unlink()


@pytest.mark.parametrize(
    ("shape", "size"), [((50, 200), (40, 10)), ((9, 3), (13, 40)), ((1, 9000), (40, 1))]
)
def test_the_whole_picture_is_kept_in_its_proportions(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    assert fitted(halves(*shape), 40).size == size


def test_what_is_clear_becomes_black_and_palettes_become_colours() -> None:
    image = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    assert fitted(_png(image), 8).getpixel((4, 4)) == (0, 0, 0)
    assert fitted(_png(Image.new("P", (8, 8))), 8).mode == "RGB"
    assert fitted(_png(Image.new("I;16", (8, 8))), 8).mode == "RGB"


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "cut", "folder"])
def test_what_is_no_picture_is_a_value_error_and_writes_nothing(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "picture.png"
    whole = _png(Image.fromarray(halves(64, 64)))
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes({"empty": b"", "text": b"no picture", "cut": whole[:60]}[damage])
    with pytest.raises(ValueError, match="not a readable image"):
        save_thumbnail(path, tmp_path / "small.jpg")
    assert not (tmp_path / "small.jpg").exists()


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    with replacing(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as draft:
            draft.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save_thumbnail(halves(8, 8), tmp_path / "none" / "small.jpg")
