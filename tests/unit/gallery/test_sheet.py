"""Contact sheets: every picture in its place, however many and however damaged."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from covergen.gallery.sheet import Tile, save_sheet


def plain(number: int) -> NDArray[np.uint8]:
    """A picture of one colour, which tells the number."""
    return np.full((8, 8, 3), (number % 8 * 32 + 16, number // 8 * 32 + 16, 255), np.uint8)


def tiles(count: int, caption: str = "") -> list[Tile]:
    return [Tile(picture=plain(number), caption=caption) for number in range(count)]


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.mode == "RGB"
        return np.asarray(image)


def places(path: Path, number: int) -> tuple[float, float, int]:
    """Where the pixels of picture `number` lie: mean x, mean y and how many there are."""
    y, x = np.nonzero((pixels(path) == plain(number)[0, 0]).all(axis=-1))
    return float(x.mean()), float(y.mean()), x.size


def test_pictures_lie_in_rows_in_their_order(tmp_path: Path) -> None:
    [sheet] = save_sheet(tiles(6), tmp_path / "sheet.png", columns=3, side=64)
    assert sheet == tmp_path / "sheet.png"
    found = [places(sheet, number) for number in range(6)]
    assert all(count > 0.98 * 64 * 64 for _, _, count in found)  # but for round corners
    xs, ys = [x for x, _, _ in found], [y for _, y, _ in found]
    assert xs[:3] == pytest.approx(xs[3:])
    assert xs[0] < xs[1] < xs[2]
    assert ys[0] == pytest.approx(ys[1])
    assert ys[3] - ys[0] > 64


def test_nothing_is_lost_where_one_sheet_is_too_small(tmp_path: Path) -> None:
    written = save_sheet(tiles(30), tmp_path / "sheet.png", side=1000)
    assert [path.name for path in written] == [
        "sheet.png",
        *(f"sheet-{number}.png" for number in range(2, len(written) + 1)),
    ]
    assert len(written) > 1
    assert sorted(tmp_path.iterdir()) == sorted(written)
    colors = set()
    for path in written:
        found = pixels(path)
        assert found.shape[0] * found.shape[1] < 40_000_000
        colors |= {tuple(color) for color in np.unique(found[::50, ::50].reshape(-1, 3), axis=0)}
    assert {tuple(plain(number)[0, 0]) for number in range(30)} <= colors


def test_no_more_tiles_are_taken_than_a_sheet_holds(tmp_path: Path) -> None:
    taken = 0

    def counted() -> Iterator[Tile]:
        nonlocal taken
        for tile in tiles(40):
            if (tmp_path / "sheet.png").exists():
                return
            taken += 1
            yield tile

    save_sheet(counted(), tmp_path / "sheet.png", side=2000)
    assert taken < 10


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_few_tiles_make_a_small_sheet(tmp_path: Path, count: int) -> None:
    [sheet] = save_sheet(tiles(count), tmp_path / "sheet.png", side=64)
    height, width, _ = pixels(sheet).shape
    assert width < 64 * (count + 2)
    assert height < 64 * 4


def test_a_picture_that_is_not_square_is_shown_whole(tmp_path: Path) -> None:
    wide = np.full((10, 40, 3), 255, np.uint8)
    wide[:, 20:] = (255, 0, 0)
    [sheet] = save_sheet([Tile(picture=wide)], tmp_path / "sheet.png", side=80)
    found = pixels(sheet)
    assert np.count_nonzero((found == (255, 255, 255)).all(axis=-1)) == pytest.approx(800, rel=0.1)
    assert np.count_nonzero((found == (255, 0, 0)).all(axis=-1)) == pytest.approx(800, rel=0.1)


def test_a_damaged_or_missing_picture_leaves_an_empty_frame(tmp_path: Path) -> None:
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n")
    damaged = [
        Tile(picture=tmp_path / "missing.png"),
        Tile(picture=tmp_path / "damaged.png"),
        Tile(picture=b"no picture"),
        Tile(picture=None),
    ]
    [with_gaps] = save_sheet([*damaged, *tiles(1)], tmp_path / "a.png", columns=5, side=64)
    [without] = save_sheet(tiles(5), tmp_path / "b.png", columns=5, side=64)
    assert pixels(with_gaps).shape == pixels(without).shape
    assert places(with_gaps, 0)[2] > 0.98 * 64 * 64


def test_captions_and_title_are_there_and_take_no_room_otherwise(tmp_path: Path) -> None:
    def light(name: str, tile: Tile, title: str = "") -> tuple[int, int]:
        """The sheet's height, and how many of its pixels are nearly white."""
        [sheet] = save_sheet([tile], tmp_path / f"{name}.png", side=200, title=title)
        found = pixels(sheet)
        return found.shape[0], int(np.count_nonzero((found > 140).all(axis=-1)))

    black = np.zeros((8, 8, 3), np.uint8)
    bare = light("bare", Tile(picture=black))
    captioned = light("captioned", Tile(picture=black, caption="Caption"))
    detailed = light("detailed", Tile(picture=black, caption="Caption", detail="Detail"))
    titled = light("titled", Tile(picture=black, caption="Caption", detail="Detail"), "Title")
    assert bare[1] == 0
    assert bare[0] < captioned[0] < detailed[0] < titled[0]
    assert bare[1] < captioned[1] < detailed[1] < titled[1]


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        save_sheet(tiles(1), tmp_path / "none" / "sheet.png")
