"""Which picture files are cover files, and of which albums."""

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from covergen.core.album import Album
from covergen.library.scanning.cover_globs import CoverGlobs
from covergen.library.scanning.known_names import COVER_NAMES
from covergen.library.scanning.scan import ScanOptions, scan
from covergen.library.scanning.scan_cache import ScanCache
from tests.media import picture_bytes, put_tags

_PICTURE = picture_bytes("jpeg")


class Shelf:
    """A folder with tracks and pictures, and the result of scanning it."""

    def __init__(self, root: Path, sound: bytes) -> None:
        self.root = root
        self._sound = sound

    def add(self, name: str, **tags: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._sound)
        put_tags(path, "flac", tags)

    def put(self, name: str, data: bytes = _PICTURE) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def albums(
        self,
        options: ScanOptions | None = None,
        scan_cache: Path | None = None,
        paths: Sequence[Path] = (),
    ) -> list[Album]:
        roots = paths or [self.root]
        with closing(ScanCache(scan_cache)) as seen:
            found = list(
                scan(roots, options or ScanOptions(), seen, check_interrupted=lambda: None)
            )
        assert all(isinstance(item, Album) for item in found)
        return [item for item in found if isinstance(item, Album)]

    def covers(self, options: ScanOptions | None = None) -> dict[str, str | None]:
        """Each album's cover file, relative to the root, by title."""
        return {
            album.title: album.cover_file and album.cover_file.relative_to(self.root).as_posix()
            for album in self.albums(options)
        }


@pytest.fixture
def shelf(tmp_path: Path, sound: bytes) -> Shelf:
    return Shelf(tmp_path / "music", sound)


# Names.


@pytest.mark.parametrize(
    "name",
    [
        "cover.jpg", "Folder.JPG", "FRONT.png", "poster.webp", "jacket.jpeg", "default.gif",
        "albumart.bmp", "album.tiff", "cover.jxl", "cover.avif", "front (1).jpg", "cover (2).png",
        "cover1.jpg", "cover_large.jpg", "AlbumArt_{5FA05D35-A682}_Large.jpg", "ac_dc_ live_.jpg",
        "AC DC - Live.jpg", "00-ac_dc-live-front-2003.jpg", "Scans/front.jpg", "Artwork/Cover.JPG",
        "Covers/Album front.png", "art/AC DC Live.jpg",
    ],
)  # fmt: skip
def test_cover_file_names(name: str, shelf: Shelf) -> None:
    shelf.add("1.flac", album="AC/DC: Live?", artist="A")
    shelf.put(name)
    assert shelf.covers() == {"AC/DC: Live?": name}


@pytest.mark.parametrize(
    "name",
    [
        "back.jpg", "booklet.jpg", "cover back.jpg", "AlbumArtSmall.jpg", "artist.jpg", "thumb.jpg",
        "AlbumArt_{5FA05D35-A682}_Small.jpg", "cover.txt", "Scans/back.jpg", "Booklet/front.jpg",
        "?.jpg",
    ],
)  # fmt: skip
def test_other_pictures_are_not_cover_files(name: str, shelf: Shelf) -> None:
    shelf.add("1.flac", album="???", artist="A")
    shelf.put(name)
    assert shelf.covers() == {"???": None}


def test_common_names_come_first() -> None:
    names = ["cover.png", "folder.jpg", "album x.jpg", "my front.jpg", "Scans/front.jpg"]
    ranked = CoverGlobs(COVER_NAMES).ranked(names[::-1], lambda: ["Album X"], own=True)
    assert list(ranked) == names


def test_custom_cover_names(shelf: Shelf) -> None:
    shelf.add("1.flac", album="Album", artist="A")
    shelf.put("cover.jpg")
    shelf.put("Booklet/01 Album.jpg")
    options = ScanOptions(cover_names=("booklet/?? <album>.*",))
    assert shelf.covers(options) == {"Album": "Booklet/01 Album.jpg"}
    assert shelf.covers(ScanOptions(cover_names=())) == {"Album": None}


# Which album they belong to.


@pytest.mark.parametrize("per", ["album", "track"])
def test_cover_file_beside_singles_belongs_to_none(shelf: Shelf, per: str) -> None:
    for name in ("Song 1", "Song 2"):
        shelf.add(f"{name}.flac", title=name, artist=f"Artist of {name}")
    shelf.put("Folder.jpg")
    options = ScanOptions(per="track" if per == "track" else "album")
    assert shelf.covers(options) == {"Song 1": None, "Song 2": None}


def test_album_cover_file_is_not_used_per_track(shelf: Shelf) -> None:
    for name in ("One", "Two"):
        shelf.add(f"{name}.flac", title=name, album="Album", artist="A")
    shelf.put("cover.jpg")
    assert shelf.covers() == {"Album": "cover.jpg"}
    assert shelf.covers(ScanOptions(per="track")) == {"One": None, "Two": None}


def test_cover_file_in_shared_folder_belongs_to_its_namesake(shelf: Shelf) -> None:
    shelf.add("1.flac", album="One", artist="A")
    shelf.add("2.flac", album="Two", artist="A")
    shelf.add("3.flac", title="Three", artist="A")
    for name in ("Folder.jpg", "one.jpg", "3.jpg"):
        shelf.put(name)
    assert shelf.covers() == {"One": "one.jpg", "Two": None, "Three": "3.jpg"}


def test_cover_file_of_an_explicit_single_is_uncertain(shelf: Shelf) -> None:
    shelf.add("Single.flac", title="Single", artist="A")
    shelf.add("Of an album.flac", title="One", album="Album", artist="A")
    shelf.put("Folder.jpg")
    found = {
        name: shelf.albums(paths=[shelf.root / name])[0].cover_file is not None
        for name in ("Single.flac", "Of an album.flac")
    }
    assert found == {"Single.flac": False, "Of an album.flac": True}


def test_cover_file_above_discs_takes_precedence(shelf: Shelf) -> None:
    for disc in ("CD1", "CD2"):
        shelf.add(f"{disc}/1.flac", album="Album", artist="A")
    inner = shelf.put("CD2/cover.jpg")
    assert shelf.covers() == {"Album": "CD2/cover.jpg"}
    shelf.put("folder.png", picture_bytes("png"))
    assert shelf.covers() == {"Album": "folder.png"}
    inner.unlink()
    assert shelf.covers() == {"Album": "folder.png"}


def test_disc_that_is_a_separate_album_has_its_own_cover_file(shelf: Shelf) -> None:
    shelf.add("CD1/1.flac", album="One", artist="A")
    shelf.add("CD2/1.flac", album="Two", artist="A")
    shelf.put("cover.jpg")
    shelf.put("CD2/cover.jpg")
    assert shelf.covers() == {"One": None, "Two": "CD2/cover.jpg"}


# Content.


@pytest.mark.parametrize(
    "data",
    [b"", b"<!DOCTYPE html><html><body>404 Not Found</body></html>", bytes(100), b"\xff\xd8\xff"],
    ids=["empty", "html", "zeros", "three bytes"],
)
def test_invalid_picture_is_not_a_cover_file(shelf: Shelf, data: bytes) -> None:
    shelf.add("1.flac", album="Album", artist="A")
    broken = shelf.put("cover.jpg", data)
    (album,) = shelf.albums()
    assert (album.cover_file, album.broken_file) == (None, broken)
    sound = shelf.put("Scans/front.jpg")
    (album,) = shelf.albums()
    assert (album.cover_file, album.broken_file) == (sound, None)


def test_broken_file_in_shared_folder_belongs_to_none(shelf: Shelf) -> None:
    shelf.add("1.flac", album="One", artist="A")
    shelf.add("2.flac", album="Two", artist="A")
    shelf.put("cover.jpg", b"")
    assert [album.broken_file for album in shelf.albums()] == [None, None]


def test_folders_links_and_pipes_are_not_cover_files(shelf: Shelf) -> None:
    shelf.add("1.flac", album="Album", artist="A")
    (shelf.root / "front.jpg").mkdir()
    (shelf.root / "folder.png").symlink_to("missing")
    os.mkfifo(shelf.root / "cover.jpg")
    (album,) = shelf.albums()
    assert (album.cover_file, album.broken_file) == (None, None)


def test_repaired_cover_file_is_found(shelf: Shelf, tmp_path: Path) -> None:
    shelf.add("1.flac", album="Album", artist="A")
    cover = shelf.put("cover.jpg", b"")
    scan_cache = tmp_path / "scan.sqlite"
    assert shelf.albums(scan_cache=scan_cache)[0].broken_file == cover
    shelf.put("cover.jpg")
    for _ in ("read", "remembered"):
        (album,) = shelf.albums(scan_cache=scan_cache)
        assert (album.cover_file, album.broken_file) == (cover, None)
