"""covers_of yields an album's covers in the order that players use, and skips unreadable ones."""

from collections.abc import Sequence
from pathlib import Path

from covergen.core.album import Album, Outcome
from covergen.library.pictures_in_files import covers_of
from covergen.library.scanning.scan import ScanOptions, scan
from covergen.library.scanning.scan_cache import ScanCache
from tests.media import Library, encode, picture_bytes, put_picture


def album_of(folder: Path) -> Album:
    (album,) = scan([folder], ScanOptions(), ScanCache(), check_interrupted=lambda: None)
    assert not isinstance(album, Outcome)
    return album


def put(path: Path, *pictures: tuple[bytes, int]) -> None:
    encode(path, "mp3", seconds=0.2, tags={"album": "A", "artist": "B"})
    for data, kind in pictures:
        put_picture(path, "mp3", data, kind=kind)


def colors(count: int) -> Sequence[bytes]:
    return [picture_bytes("png", 64, (40 * number, 0, 0)) for number in range(count)]


def test_front_cover_comes_first_and_icons_last(tmp_path: Path) -> None:
    icon, back, front, other = colors(4)
    put(tmp_path / "1.mp3", (icon, 1), (back, 4), (front, 3))
    put(tmp_path / "2.mp3", (icon, 1), (other, 0))

    assert list(covers_of(album_of(tmp_path))) == [front, other]


def test_cover_file_comes_last(tmp_path: Path) -> None:
    embedded, beside = colors(2)
    put(tmp_path / "1.mp3", (embedded, 3))
    put(tmp_path / "2.mp3")
    (tmp_path / "cover.png").write_bytes(beside)

    assert list(covers_of(album_of(tmp_path))) == [embedded, beside]


def test_album_without_covers_yields_nothing(library: Library) -> None:
    assert not list(covers_of(album_of(library.root / "Two Discs")))
    assert not list(covers_of(album_of(library.root / "Icon Only")))


def test_files_deleted_since_the_scan_are_skipped(tmp_path: Path) -> None:
    first, second = colors(2)
    put(tmp_path / "1.mp3", (first, 3))
    put(tmp_path / "2.mp3", (second, 3))
    (tmp_path / "cover.png").write_bytes(first)
    album = album_of(tmp_path)
    (tmp_path / "1.mp3").unlink()
    (tmp_path / "cover.png").unlink()

    assert list(covers_of(album)) == [second]
