"""The rules that group tracks into albums."""

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from covergen.core.album import Album, Track
from covergen.library.scanning.album_folder import AlbumFolder, Folder
from covergen.library.scanning.group_albums import albums_in

_HOME = Path("/music/Folder")


def _track(name: str, **tags: Any) -> Track:
    return Track(path=_HOME / name, size=1, mtime_ns=1, container="mp3", has_art=False, **tags)


def _place(home: Path, tracks: Sequence[Track]) -> AlbumFolder:
    folders = sorted({home, *(track.path.parent for track in tracks)})
    return AlbumFolder(path=home, folders=tuple(Folder(path=folder) for folder in folders))


def _albums(*tracks: Track) -> list[Album]:
    return albums_in(_place(_HOME, tracks), tracks, per="album")


def _grouped(*tracks: Track) -> set[str]:
    """The file names of each album in playing order, joined by spaces."""
    return {" ".join(track.path.name for track in album.tracks) for album in _albums(*tracks)}


def _key(*tracks: Track) -> str:
    (album,) = _albums(*tracks)
    return album.key


# Albums by tags.


def test_same_title_and_artist_are_one_album() -> None:
    same = {"album": "Album", "album_artist": "Artist", "date": "1997"}
    (album,) = _albums(_track("1", **same), _track("2", **same))
    assert (album.title, album.artist, album.date) == ("Album", "Artist", "1997")
    assert album.folder == _HOME
    assert not album.shares_folder


def test_case_space_and_unicode_form_do_not_split() -> None:
    decomposed = unicodedata.normalize("NFD", "Café  Straße")
    assert _grouped(
        _track("1", album="Café Straße", album_artist="The Band"),
        _track("2", album=decomposed, album_artist="the  band"),
        _track("3", album="CAFÉ STRASSE ", album_artist="THE BAND"),
    ) == {"1 2 3"}


def test_album_artists_and_titles_split() -> None:
    assert _grouped(
        _track("1", album="Greatest Hits", album_artist="Queen"),
        _track("2", album="Greatest Hits", album_artist="ABBA"),
        _track("3", album="Gold", album_artist="ABBA"),
    ) == {"1", "2", "3"}


def test_albums_in_one_folder_share_it() -> None:
    albums = _albums(_track("1", album="One"), _track("2", album="Two"))
    assert [album.shares_folder for album in albums] == [True, True]


def test_guest_artists_do_not_split() -> None:
    (album,) = _albums(
        _track("1", album="Album", artist="Queen", track_number=1),
        _track("2", album="Album", artist="Queen feat. David Bowie", track_number=2),
        _track("3", album="Album", artist="Queen & Paul Rodgers", track_number=3),
    )
    assert len(album.tracks) == 3


def test_album_artist_excludes_featured_artists() -> None:
    (album,) = _albums(
        _track("1", album="Album", artist="Queen (ft. David Bowie)"),
        _track("2", album="Album", artist="Queen"),
    )
    assert album.artist == "Queen"


def test_artists_split_on_conflicting_track_numbers() -> None:
    assert _grouped(
        _track("1", album="Greatest Hits", artist="Queen", track_number=1),
        _track("2", album="Greatest Hits", artist="Queen feat. X", track_number=2),
        _track("3", album="Greatest Hits", artist="ABBA", track_number=1),
    ) == {"1 2", "3"}


@pytest.mark.parametrize(
    "tags", [{"compilation": True}, {"album_artist": "Various Artists"}], ids=["flag", "artist"]
)
def test_compilation_is_one_album(tags: dict[str, Any]) -> None:
    (album,) = _albums(
        _track("1", album="Hits", artist="A", track_number=1, date="1971", **tags),
        _track("2", album="Hits", artist="B", track_number=2, date="1985", **tags),
        _track("3", album="Hits", artist="C", track_number=3, date="1999", **tags),
    )
    assert len(album.tracks) == 3
    assert album.artist == "Various Artists"


def test_compilation_with_several_album_artists_is_one_album() -> None:
    (album,) = _albums(
        _track("1", album="Hits", artist="A", album_artist="A", compilation=True),
        _track("2", album="Hits", artist="B", album_artist="B", compilation=True),
    )
    assert album.artist == "Various Artists"


def test_years_split_editions() -> None:
    same = {"album": "Album", "album_artist": "Artist"}
    assert _grouped(
        _track("1", **same, date="1997", track_number=1),
        _track("2", **same, date="1997-05-21", track_number=2),
        _track("3", **same, date="2017", track_number=1),
    ) == {"1 2", "3"}
    again = {**same, "title": "Song"}
    assert _grouped(_track("a", **again, date="1997"), _track("b", **again, date="2017")) == {
        "a",
        "b",
    }


@pytest.mark.parametrize("tags", [{"album_artist": "Artist"}, {"artist": "Artist"}])
def test_original_years_do_not_split(tags: dict[str, Any]) -> None:
    years = {"a": "1963", "b": "1966-05", "c": "1969", "d": ""}
    (album,) = _albums(
        *(
            _track(name, album="Best Of", title=name, date=date, **tags)
            for name, date in years.items()
        )
    )
    assert len(album.tracks) == 4


def test_artists_with_different_years_split() -> None:
    assert _grouped(
        _track("a", album="Greatest Hits", artist="Queen", date="1981"),
        _track("b", album="Greatest Hits", artist="ABBA", date="1976"),
    ) == {"a", "b"}


def test_missing_date_or_album_artist_does_not_split() -> None:
    assert _grouped(
        _track("1", album="Album", album_artist="Artist", date="1997"),
        _track("2", album="Album", album_artist="Artist"),
        _track("3", album="Album", artist="Guest", date="1997"),
    ) == {"1 2 3"}


def test_musicbrainz_ids_join_and_split() -> None:
    same = {"album": "Album", "album_artist": "Artist"}
    assert _grouped(
        _track("1", **same, musicbrainz_album_id="ID-1"),
        _track("2", album="Album (Disc 2)", musicbrainz_album_id="id-1"),
        _track("3", **same, musicbrainz_album_id="id-2"),
        _track("4", musicbrainz_album_id="id-2"),
    ) == {"1 2", "3 4"}


def test_track_without_musicbrainz_id_joins_its_album() -> None:
    assert _grouped(
        _track("1", album="Album", musicbrainz_album_id="id"), _track("2", album="Album")
    ) == {"1 2"}


# Tracks without an album title.


def test_tracks_without_album_are_singles() -> None:
    albums = _albums(
        _track("A - One.mp3", title="One", artist="A", track_number=1),
        _track("B - Two.mp3", title="Two", artist="B", track_number=1),
        _track("99 Luftballons.mp3", title="99 Luftballons", artist="Nena"),
    )
    assert sorted((album.title, album.artist) for album in albums) == [
        ("99 Luftballons", "Nena"),
        ("One", "A"),
        ("Two", "B"),
    ]


@pytest.mark.parametrize(
    "title",
    [
        "Unknown Album", "<unknown>", "[Unknown]", "Unknown Album (3/4/2005 1:23:45 PM)",
        "Unbekanntes Album", "[non-album tracks]",
    ],
)  # fmt: skip
def test_placeholder_titles_are_ignored(title: str) -> None:
    albums = _albums(*(_track(name, title=name, artist=name, album=title) for name in "ABC"))
    assert [album.title for album in albums] == ["A", "B", "C"]


def test_numbered_tracks_of_unknown_album_are_one_album() -> None:
    (album,) = _albums(
        *(
            _track(f"Track {n}", track_number=n, artist="Unknown Artist", album="Unknown Album")
            for n in (1, 2, 3)
        )
    )
    assert album.title == "Folder"


@pytest.mark.parametrize("title", ["The Unknown", "Unknown Pleasures", "Untitled"])
def test_similar_titles_are_not_placeholders(title: str) -> None:
    (album,) = _albums(_track("a", album=title, artist="A"), _track("b", album=title, artist="B"))
    assert album.title == title


def test_numbered_tracks_of_several_artists_are_singles() -> None:
    assert len(_albums(_track("01 One", artist="A"), _track("02 Two", artist="B"))) == 2


@pytest.mark.parametrize(
    "names",
    [
        ["01.mp3", "02.mp3", "03.mp3"],
        ["01 - One.mp3", "02 - Two.mp3", "bonus.mp3"],
        ["Track 1.wav", "Track 2.wav", "Track 10.wav"],
        ["1-01 One.mp3", "1-02 Two.mp3", "2-01 Three.mp3"],
    ],
)
def test_numbered_tracks_without_tags_are_an_album(names: list[str]) -> None:
    (album,) = _albums(*map(_track, reversed(names)))
    assert [track.path.name for track in album.tracks] == names
    assert album.title == "Folder"


def test_track_number_tags_count_as_numbers() -> None:
    assert _grouped(_track("b", track_number=1), _track("a", track_number=2)) == {"b a"}


@pytest.mark.parametrize(
    "names",
    [["a.wav", "b.wav"], ["1 a.wav", "1 b.wav"], ["2020-05-01 jam.wav", "2021-05-01 jam.wav"]],
)
def test_other_files_without_tags_are_singles(names: list[str]) -> None:
    assert len(_albums(*map(_track, names))) == len(names)


def test_untitled_single_is_named_after_its_file() -> None:
    (album,) = _albums(_track("Some Song.mp3"))
    assert album.title == "Some Song"


# Order.


def test_tracks_play_by_disc_number_and_name() -> None:
    same = {"album": "Album"}
    (album,) = _albums(
        _track("CD2/a", **same, track_number=1),
        _track("CD 1/z", **same, track_number=2),
        _track("CD 1/y", **same, track_number=11),
        _track("CD2/other", **same, disc_number=1, track_number=3),
        _track("CD2/song 10", **same),
        _track("CD2/song 9", **same),
    )
    assert [track.path.name for track in album.tracks] == [
        "z", "other", "y", "a", "song 9", "song 10",
    ]  # fmt: skip


def test_discs_without_tags_are_one_album() -> None:
    (album,) = _albums(_track("CD1/01.mp3"), _track("CD2/01.mp3"), _track("CD2/02.mp3"))
    assert album.folder == _HOME
    assert [track.path.relative_to(_HOME).as_posix() for track in album.tracks] == [
        "CD1/01.mp3",
        "CD2/01.mp3",
        "CD2/02.mp3",
    ]


def test_per_track_makes_each_track_an_album() -> None:
    tracks = [_track("02", album="Album", title="Two"), _track("01", album="Album", title="One")]
    albums = albums_in(_place(_HOME, tracks), tracks, per="track")
    assert [album.title for album in albums] == ["One", "Two"]
    assert all(len(album.tracks) == 1 for album in albums)
    assert all(album.shares_folder for album in albums)


# Keys.


def _moved(home: Path, *tracks: Track) -> list[str]:
    moved = [replace(track, path=home / track.path.relative_to(_HOME)) for track in tracks]
    albums = albums_in(_place(home, moved), moved, per="album")
    return [album.key for album in albums]


@pytest.mark.parametrize(
    "tracks",
    [
        [_track("01", album="Album", musicbrainz_album_id="id")],
        [_track("01", album="Album", artist="Artist", date="1997")],
        [_track("CD1/01"), _track("CD2/01")],
        [_track("a", title="Title", artist="Artist"), _track("b")],
    ],
    ids=["id", "tags", "untagged", "singles"],
)
def test_keys_do_not_depend_on_the_library_location(tracks: list[Track]) -> None:
    keys = _moved(_HOME, *tracks)
    assert _moved(Path("/elsewhere/and/deeper/Folder"), *tracks) == keys
    assert all(len(key) == 32 and int(key, 16) >= 0 for key in keys)


def test_key_of_tagged_album_ignores_file_names() -> None:
    tags = {"album": "Album", "artist": "Artist", "date": "1997-05-21"}
    assert _key(_track("a", **tags)) == _key(_track("b", **tags), _track("c", **tags))
    assert _key(_track("a", **tags)) == _key(_track("a", **{**tags, "date": "1997"}))


def test_key_of_untagged_album_depends_on_names() -> None:
    decomposed = unicodedata.normalize("NFD", "01 é")
    assert _key(_track("01 é"), _track("02")) == _key(_track(decomposed), _track("02"))
    other_folder = _moved(Path("/music/Other"), _track("01 é"), _track("02"))
    assert other_folder != [_key(_track("01 é"), _track("02"))]


def test_different_albums_have_different_keys() -> None:
    keys = [
        _key(_track("x", album="a", artist="bc")),
        _key(_track("x", album="ca", artist="b")),
        _key(_track("x", album="ab", artist="c")),
        _key(_track("x", album="ab", artist="bc")),
        _key(_track("x", album="ab", artist="c", date="1997")),
        _key(_track("x", album="1997", artist="c")),
        _key(_track("x", musicbrainz_album_id="a")),
        _key(_track("x", musicbrainz_album_id="b")),
        _key(_track("x", title="ab", artist="c")),
        _key(_track("x", title="ab", artist="c", track_number=1)),
        _key(_track("x")),
        _key(_track("y")),
        _key(_track("01"), _track("02")),
        _key(_track("01"), _track("02"), _track("03")),
        _key(_track("CD1/01"), _track("CD1/02")),
    ]
    assert len(set(keys)) == len(keys)


def test_non_utf8_names_have_keys() -> None:
    assert _key(_track(os.fsdecode(b"\xff.mp3"))) != _key(_track(os.fsdecode(b"\xfe.mp3")))
