"""Contact sheets: every picture in its place, however many and however damaged."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from covergen.gallery import contact_sheet as module
from covergen.gallery.contact_sheet import Tile, save_sheet


def plain(number: int) -> NDArray[np.uint8]:
    """A picture in a color that identifies the number."""
    return np.full((8, 8, 3), (number % 8 * 32 + 16, number // 8 * 32 + 16, 255), np.uint8)


def tiles(count: int) -> list[Tile]:
    return [Tile(picture=plain(number)) for number in range(count)]


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.mode == "RGB"
        return np.asarray(image)


def place(path: Path, number: int) -> tuple[float, float, int]:
    """The mean x, the mean y and the number of pixels of picture `number`."""
    y, x = np.nonzero((pixels(path) == plain(number)[0, 0]).all(axis=-1))
    return float(x.mean()), float(y.mean()), x.size


def test_pictures_are_in_rows_in_their_order(tmp_path: Path) -> None:
    [sheet] = save_sheet(tiles(6), tmp_path / "sheet.png", columns=3, side=64)
    assert sheet == tmp_path / "sheet.png"
    found = [place(sheet, number) for number in range(6)]
    assert all(count > 0.98 * 64 * 64 for _, _, count in found)  # except for the round corners
    xs, ys = [x for x, _, _ in found], [y for _, y, _ in found]
    assert xs[:3] == pytest.approx(xs[3:])
    assert xs[0] < xs[1] < xs[2]
    assert ys[0] == pytest.approx(ys[1])
    assert ys[3] - ys[0] > 64


def test_more_tiles_than_fit_on_one_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_PIXELS", 240_000)
    taken: list[int] = []

    def counted() -> Iterator[Tile]:
        for number, tile in enumerate(tiles(40)):
            if not (tmp_path / "sheet.png").exists():
                taken.append(number)
            yield tile

    written = save_sheet(counted(), tmp_path / "sheet.png", side=100)
    assert len(taken) <= 24, "at most one sheet of tiles is in memory"
    assert len(written) > 1
    assert [path.name for path in written] == [
        "sheet.png",
        *(f"sheet-{number}.png" for number in range(2, len(written) + 1)),
    ]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    colors = set()
    for path in written:
        found = pixels(path)
        assert found.shape[0] * found.shape[1] < 400_000
        colors |= {tuple(color) for color in np.unique(found[::5, ::5].reshape(-1, 3), axis=0)}
    assert {tuple(plain(number)[0, 0]) for number in range(40)} <= colors


def test_oblong_picture_is_shown_in_full(tmp_path: Path) -> None:
    wide = np.full((10, 40, 3), 255, np.uint8)
    wide[:, 20:] = (255, 0, 0)
    [sheet] = save_sheet([Tile(picture=wide)], tmp_path / "sheet.png", side=80)
    found = pixels(sheet)
    for color in ((255, 255, 255), (255, 0, 0)):
        assert np.count_nonzero((found == color).all(axis=-1)) == pytest.approx(800, rel=0.1)


def test_unreadable_picture_leaves_an_empty_frame(tmp_path: Path) -> None:
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n")
    unreadable = (tmp_path / "missing.png", tmp_path / "damaged.png", b"not a picture", None)
    gaps = [Tile(picture=picture) for picture in unreadable]
    [with_gaps] = save_sheet([*gaps, *tiles(1)], tmp_path / "a.png", columns=5, side=64)
    [without] = save_sheet(tiles(5), tmp_path / "b.png", columns=5, side=64)
    assert pixels(with_gaps).shape == pixels(without).shape
    assert place(with_gaps, 0)[2] > 0.98 * 64 * 64


def test_text_is_drawn_and_takes_space_only_if_given(tmp_path: Path) -> None:
    def measure(caption: str = "", detail: str = "", title: str = "") -> tuple[int, int]:
        """The sheet's height, and its number of light pixels."""
        tile = Tile(picture=np.zeros((8, 8, 3), np.uint8), caption=caption, detail=detail)
        [sheet] = save_sheet([tile], tmp_path / "sheet.png", side=200, title=title)
        found = pixels(sheet)
        return found.shape[0], int(np.count_nonzero((found > 140).all(axis=-1)))

    bare = measure()
    captioned = measure("Caption")
    detailed = measure("Caption", "Detail")
    titled = measure("Caption", "Detail", "Title")
    assert bare[1] == 0
    assert bare[0] < captioned[0] < detailed[0] < titled[0]
    assert bare[1] < captioned[1] < detailed[1] < titled[1]
