"""Create a small demo library, and a contact sheet of its covers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.atomic_write import remove_stale
from covergen.core.errors import UsageError
from covergen.gallery.contact_sheet import Tile, save_sheet
from covergen.library.pictures_in_files import read_pictures
from covergen.library.read_track import read_track
from covergen.pipeline.events import CheckInterrupted

if TYPE_CHECKING:
    from covergen.starter.songs import Song, SongAlbum


_SUFFIXES = (".mp3", ".flac", ".m4a", ".ogg", ".opus", ".wav")  # one per album


@dataclass(frozen=True, slots=True)
class Demo:
    """The folder of a demo: its music library and its contact sheet."""

    folder: Path

    @property
    def library(self) -> Path:
        """The music library: audio files in folders by artist and album."""
        return self.folder / "Music"

    @property
    def sheet(self) -> Path:
        """The contact sheet of all covers."""
        return self.folder / "covers.png"

    def check(self) -> None:
        """Raise UsageError if the folder contains anything but a demo."""
        if self.folder.is_dir():
            foreign = {path.name for path in self.folder.iterdir()}
            foreign -= {self.library.name, self.sheet.name}
            if not foreign:
                return
        elif not self.folder.exists():
            return
        raise UsageError(f"{self.folder} contains other files: choose a new folder for the demo.")


@dataclass(frozen=True, slots=True)
class Unplayed:
    """A demo track that has not been created yet."""

    path: Path
    album: SongAlbum
    song: Song


def unplayed(demo: Demo, albums: int) -> list[Unplayed]:
    """Return the missing tracks of the first `albums` albums; each album has its own format."""
    from covergen.starter.songs import ALBUMS

    return [
        Unplayed(path, album, song)
        for album, suffix in list(zip(ALBUMS, _SUFFIXES, strict=True))[:albums]
        for song in album.songs
        if not (path := _place(demo, album, song, suffix)).exists()
    ]


def make_library(tracks: Iterable[Unplayed], check_interrupted: CheckInterrupted) -> Iterator[Path]:
    """Synthesize, encode and tag tracks. Yields the path of each finished file.

    Raises Interrupted if `check_interrupted` raises it.
    """
    for track in tracks:
        check_interrupted()
        _make_track(track.path, track.album, track.song)
        yield track.path


def make_sheet(demo: Demo) -> None:
    """Write the contact sheet of the library's covers, in the order of the demo's albums."""
    from covergen.starter.songs import ALBUMS

    tiles = []
    for album in ALBUMS:
        for path in sorted((demo.library / album.artist / album.title).glob("*"))[:1]:
            container = read_track(path, path.stat()).container
            tiles += [
                Tile(picture=picture.data, caption=album.title, detail=album.genre)
                for picture in read_pictures(path, container)[:1]
            ]
    save_sheet(tiles, demo.sheet, columns=3, side=384, title="covergen demo")


def _place(demo: Demo, album: SongAlbum, song: Song, suffix: str) -> Path:
    return demo.library / album.artist / album.title / f"{song.number:02} {song.title}{suffix}"


def _make_track(path: Path, album: SongAlbum, song: Song) -> None:
    from covergen.audio.sound_file import write_sound
    from covergen.starter.musician import SAMPLE_RATE_HZ
    from covergen.starter.songs import render

    path.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(path.parent)
    tags = {
        "title": song.title,
        "artist": album.artist,
        "album_artist": album.artist,
        "album": album.title,
        "date": album.date,
        "genre": album.genre,
        "track": str(song.number),
    }
    write_sound(path, render(album, song), sample_rate_hz=SAMPLE_RATE_HZ, tags=tags)
