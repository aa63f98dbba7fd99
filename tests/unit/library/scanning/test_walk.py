"""The walk finds each file once, and skips hidden, excluded and ignored files."""

import inspect
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from covergen.core.album import Outcome, Status
from covergen.core.errors import UsageError
from covergen.core.reasons import Reason
from covergen.library.scanning.album_folder import AlbumFolder
from covergen.library.scanning.cover_globs import CoverGlobs
from covergen.library.scanning.known_names import COVER_NAMES
from covergen.library.scanning.walk import walk

_NAMES = CoverGlobs(COVER_NAMES)


def _make(root: Path, *files: str) -> None:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def _walk(*paths: Path, exclude: Sequence[str] = (), follow: bool = False) -> list[AlbumFolder]:
    return list(walk(paths, exclude, _NAMES, follow_symlinks=follow))


def _files(*paths: Path, exclude: Sequence[str] = (), follow: bool = False) -> list[str]:
    """The files found, in order, relative to the first path."""
    return [
        (folder.path / name).relative_to(paths[0]).as_posix()
        for place in _walk(*paths, exclude=exclude, follow=follow)
        for folder in place.folders
        for name, _ in folder.files
    ]


def _problems(*paths: Path, follow: bool = False) -> list[Outcome]:
    return [
        problem
        for place in _walk(*paths, follow=follow)
        for folder in place.folders
        for problem in folder.problems
    ]


def test_audio_names_are_found_in_order(tmp_path: Path) -> None:
    _make(tmp_path, "b/2.mp3", "b/1.FLAC", "b/cover.jpg", "a/x.m4a", "c.ogg", "b/notes.txt", "mp3")
    assert _files(tmp_path) == ["c.ogg", "a/x.m4a", "b/1.FLAC", "b/2.mp3"]


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.mp3", "._song.mp3", ".hidden/song.mp3", ".Trash-1000/song.mp3",
        "$RECYCLE.BIN/song.mp3", "System Volume Information/song.mp3", "lost+found/song.mp3",
        "@eaDir/song.mp3", "#recycle/song.mp3", "__MACOSX/song.mp3", "#snapshot/deep/song.mp3",
    ],
)  # fmt: skip
def test_hidden_and_system_folders_are_skipped(name: str, tmp_path: Path) -> None:
    _make(tmp_path, name, "music/song.mp3")
    assert _files(tmp_path) == ["music/song.mp3"]
    assert _problems(tmp_path) == []


@pytest.mark.parametrize(
    ("glob", "left"),
    [
        ("*.wav", ["a/live/1.mp3", "a/2.mp3", "b/1.mp3"]),
        ("live", ["a/2.mp3", "a/3.wav", "b/1.mp3"]),
        ("a/live/", ["a/2.mp3", "a/3.wav", "b/1.mp3"]),
        ("a/*", ["b/1.mp3"]),
        ("a", ["b/1.mp3"]),
        ("*/1.mp3", ["a/2.mp3", "a/3.wav"]),
        ("[ab]", []),
        ("A", ["a/live/1.mp3", "a/2.mp3", "a/3.wav", "b/1.mp3"]),
        ("live/1.mp3", ["a/live/1.mp3", "a/2.mp3", "a/3.wav", "b/1.mp3"]),
    ],
)
def test_excluded_names_and_paths(glob: str, left: list[str], tmp_path: Path) -> None:
    _make(tmp_path, "a/live/1.mp3", "a/2.mp3", "a/3.wav", "b/1.mp3")
    assert sorted(_files(tmp_path, exclude=["nothing", glob])) == sorted(left)


@pytest.fixture
def low_stack() -> Iterator[None]:
    """Limit the recursion depth, so that 150 nested folders are enough."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.usefixtures("low_stack")
def test_deeply_nested_folders(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(150):
        deep /= "d"
        deep.mkdir()
    (deep / "song.mp3").touch()
    assert len(_files(tmp_path)) == 1


# Discs and covers.


def test_disc_folders_belong_to_their_parent(tmp_path: Path) -> None:
    names = ["CD1", "cd 02", "Disc 3 - Bonus", "[Disk 4]", "DVD-5"]
    _make(tmp_path, *(f"Album/{name}/1.mp3" for name in names), "Album/CD1/Scans/x.mp3")
    _make(tmp_path, "Album/CDs/1.mp3", "Album/Discography/1.mp3", "Album/CD1999x/1.mp3")
    places = _walk(tmp_path)
    album = next(place for place in places if place.path == tmp_path / "Album")
    assert sorted(f.path.name for f in album.folders) == sorted(["Album", *names])
    others = {place.path.name for place in places} - {tmp_path.name, "Album"}
    assert others == {"CDs", "Discography", "CD1999x", "Scans"}


def test_explicit_disc_folder_belongs_to_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make(tmp_path, "Album/CD1/1.mp3", "Album/CD2/1.mp3", "Album/cover.jpg")
    (place,) = _walk(tmp_path / "Album/CD1")
    assert place.path == tmp_path / "Album"
    assert place.pictures == ("cover.jpg",)
    assert [f.path for f in place.folders] == [tmp_path / "Album/CD1"]
    assert place.partial
    monkeypatch.chdir(tmp_path / "Album/CD1")
    (place,) = _walk(Path())
    assert place.path.samefile(tmp_path / "Album")
    assert place.pictures == ("cover.jpg",)


def test_pictures_include_artwork_folders(tmp_path: Path) -> None:
    _make(tmp_path, "1.mp3", "back.jpg", "cover.txt", "cover", ".jpg", "._cover.jpg", "x.AVIF")
    _make(tmp_path, "Scans/front.jpg", "Scans/notes.txt", "Scans/.x.jpg", "Scans/deep/front.jpg")
    _make(tmp_path, "Booklet/front.jpg")
    album = _walk(tmp_path)[0]
    assert set(album.pictures) == {"back.jpg", "x.AVIF", "Scans/front.jpg"}
    assert album.folders[0].pictures == album.pictures


def test_music_folder_named_covers_keeps_its_picture(tmp_path: Path) -> None:
    _make(tmp_path, "single.mp3", "Covers/1.mp3", "Covers/front.jpg")
    artist, album = _walk(tmp_path)
    assert artist.pictures == ()
    assert album.pictures == ("front.jpg",)


def test_artwork_folder_outside_the_library_is_not_read(tmp_path: Path) -> None:
    _make(tmp_path, "outside/front.jpg", "library/1.mp3")
    library = tmp_path / "library"
    (library / "scans").symlink_to(tmp_path / "outside")
    assert _walk(library)[0].pictures == ()
    assert _walk(library, follow=True)[0].pictures == ("scans/front.jpg",)


# Links and special files.


def test_links_to_outside_are_reported_and_not_followed(tmp_path: Path) -> None:
    _make(tmp_path, "outside/album/1.mp3", "library/0.mp3", "library/folder/cover.png")
    library = tmp_path / "library"
    (library / "a").symlink_to(tmp_path / "outside")
    (library / "folder/c.mp3").symlink_to(tmp_path / "outside/album/1.mp3")
    (library / "folder/gone.mp3").symlink_to(tmp_path / "outside/gone.mp3")
    (library / "folder/notes.txt").symlink_to(tmp_path / "outside/notes.txt")
    assert _files(library) == ["0.mp3"]
    problems = _problems(library)
    assert [p.path.relative_to(library).as_posix() for p in problems] == [
        "a", "folder/c.mp3", "folder/gone.mp3",
    ]  # fmt: skip
    assert {(p.status, p.reason) for p in problems} == {(Status.SKIPPED, Reason.OUTSIDE)}
    assert str(tmp_path / "outside") in problems[0].message
    assert "--follow-symlinks" in problems[0].message


def test_explicit_path_may_be_a_link(tmp_path: Path) -> None:
    _make(tmp_path, "outside/album/1.mp3")
    library = tmp_path / "library"
    library.mkdir()
    (library / "a").symlink_to(tmp_path / "outside/album")
    (library / "b.mp3").symlink_to(tmp_path / "outside/album/1.mp3")
    assert _files(library / "a") == ["1.mp3"]
    (place,) = _walk(library / "b.mp3")
    assert [name for folder in place.folders for name, _ in folder.files] == ["b.mp3"]


def test_follow_symlinks_visits_each_target_once(tmp_path: Path) -> None:
    _make(tmp_path, "outside/album/1.mp3", "other/single.mp3")
    library = tmp_path / "library"
    library.mkdir()
    (library / "a").symlink_to(tmp_path / "outside")
    (library / "b").symlink_to(tmp_path / "outside/album")
    (library / "c.mp3").symlink_to(tmp_path / "other/single.mp3")
    (library / "d.mp3").symlink_to(tmp_path / "other/single.mp3")
    assert _files(library, follow=True) == ["c.mp3", "a/album/1.mp3"]


def test_links_within_the_library_are_not_duplicated(tmp_path: Path) -> None:
    _make(tmp_path, "z/album/1.mp3", "z/album/2.mp3")
    (tmp_path / "by genre").mkdir()
    (tmp_path / "by genre/rock").symlink_to(tmp_path / "z/album")
    (tmp_path / "best.mp3").symlink_to(tmp_path / "z/album/1.mp3")
    assert _files(tmp_path) == ["z/album/1.mp3", "z/album/2.mp3"]


def test_links_to_hidden_files_are_followed(tmp_path: Path) -> None:
    _make(tmp_path, ".git/annex/object.mp3", ".git/annex/SHA256")
    (tmp_path / "1.mp3").symlink_to(".git/annex/object.mp3")
    (tmp_path / "2.mp3").symlink_to(".git/annex/SHA256")
    assert _files(tmp_path) == ["1.mp3", "2.mp3"]


def test_link_loops_end(tmp_path: Path) -> None:
    _make(tmp_path, "library/a/1.mp3", "outside/2.mp3", "neighbor.mp3")
    library = tmp_path / "library"
    (library / "a/here").symlink_to(".")
    (library / "a/up").symlink_to("..")
    (library / "a/higher").symlink_to("../..")
    (library / "a/self").symlink_to("self")
    (library / "b").symlink_to(tmp_path / "outside")
    (tmp_path / "outside/back").symlink_to(library)
    (tmp_path / "outside/round").symlink_to(tmp_path / "outside")
    assert _files(library, follow=True) == ["a/1.mp3", "b/2.mp3"]
    assert _problems(library, follow=True) == []
    assert _files(library) == ["a/1.mp3"]
    assert [problem.path for problem in _problems(library)] == [library / "b"]


def test_dangling_links_with_audio_names_are_reported(tmp_path: Path) -> None:
    (tmp_path / "gone.mp3").symlink_to("missing")
    (tmp_path / "loop.mp3").symlink_to("loop.mp3")
    (tmp_path / "gone.txt").symlink_to("missing")
    problems = _problems(tmp_path)
    assert [problem.path.name for problem in problems] == ["gone.mp3", "loop.mp3"]
    assert {problem.reason for problem in problems} == {Reason.UNREADABLE}
    assert problems[0].message == "No such file or directory"


def test_pipes_and_sockets_are_not_music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind("socket.mp3")
        (tmp_path / "device.mp3").symlink_to("/dev/zero")
        assert _files(tmp_path) == []
        with pytest.raises(UsageError, match="not a file or folder"):
            walk([tmp_path / "pipe.mp3"], [], _NAMES)


def test_unreadable_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _make(tmp_path, "a/1.mp3", "b/1.mp3")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if path == tmp_path / "a":  # root can read everything
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert _files(tmp_path) == ["b/1.mp3"]
    (problem,) = _problems(tmp_path)
    assert (problem.path, problem.reason) == (tmp_path / "a", Reason.UNREADABLE)
    assert problem.message == "Permission denied"


# Several paths.


def test_overlapping_paths_are_walked_once(tmp_path: Path) -> None:
    _make(tmp_path, "a/x/1.mp3", "a/2.mp3", "b/3.mp3")
    (tmp_path / "link").symlink_to("a")
    everything = ["a/2.mp3", "a/x/1.mp3", "b/3.mp3"]
    a, b = tmp_path / "a", tmp_path / "b"
    assert _files(tmp_path, a, a / "x", b, tmp_path) == everything
    assert _files(tmp_path, tmp_path / "link", a / "2.mp3", a / "x/../2.mp3") == everything
    nested = [str(place.path.relative_to(tmp_path)) for place in _walk(a / "x", b, a)]
    assert nested == ["b", "a", "a/x"]


def test_explicit_file_excludes_its_siblings(tmp_path: Path) -> None:
    _make(tmp_path, "a/1.mp3", "a/2.mp3", "a/cover.jpg", "b/odd.name")
    (place,) = _walk(tmp_path / "a/1.mp3")
    assert [name for name, _ in place.folders[0].files] == ["1.mp3"]
    assert (place.path, place.pictures) == (tmp_path / "a", ("cover.jpg",))
    assert place.folders[0].pictures == ("cover.jpg",)
    assert place.partial
    (place,) = _walk(tmp_path / "b/odd.name")
    assert [name for name, _ in place.folders[0].files] == ["odd.name"]


def test_explicit_files_are_grouped_by_album(tmp_path: Path) -> None:
    _make(tmp_path, "a/CD1/1.mp3", "a/CD1/2.mp3", "a/CD2/1.mp3", "a/CD2/2.mp3", "b/1.mp3")
    files = [tmp_path / name for name in ("a/CD2/1.mp3", "b/1.mp3", "a/CD1/2.mp3", "a/CD1/1.mp3")]
    found = {
        place.path.name: [[name for name, _ in f.files] for f in place.folders]
        for place in _walk(*files)
    }
    assert found == {"a": [["1.mp3", "2.mp3"], ["1.mp3"]], "b": [["1.mp3"]]}


def test_explicit_files_can_be_excluded(tmp_path: Path) -> None:
    _make(tmp_path, "1.mp3", "2 (live).mp3")
    files = [tmp_path / "1.mp3", tmp_path / "2 (live).mp3"]
    (place,) = _walk(*files, exclude=["*live*"])
    assert [name for name, _ in place.folders[0].files] == ["1.mp3"]


def test_relative_paths_stay_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _make(tmp_path, "a/1.mp3")
    monkeypatch.chdir(tmp_path)
    assert [f.path for place in _walk(Path()) for f in place.folders] == [Path(), Path("a")]
    assert [f.path for place in _walk(Path("a")) for f in place.folders] == [Path("a")]


def test_all_missing_paths_are_listed_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        walk([tmp_path, tmp_path / "one", tmp_path / "two"], [], _NAMES)
    assert "one: No such file or directory" in caught.value.message
    assert "two" in caught.value.message


# Ignore files.


def _ignored(root: Path) -> dict[str, str]:
    """The paths excluded by ignore files, relative to the root, with their messages."""
    problems = _problems(root)
    assert {(p.status, p.reason) for p in problems} <= {(Status.SKIPPED, Reason.IGNORED)}
    return {problem.path.relative_to(root).as_posix(): problem.message for problem in problems}


def _rules(file: Path, *lines: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((name, "") for name in (".ndignore", ".ignore", ".plexignore", ".nomedia")),
        (".nomedia", "/storage/emulated/0/Music/a"),
        (".ndignore", "# only a comment"),
        (".ndignore", "*.wav\n\\"),  # invalid patterns
        (".ndignore", "*a*b*c*d*"),
        (".ndignore", "**/a/**/b/**/c/**/d"),
        (".ndignore", "x" * ((1 << 20) + 1)),
    ],
)
def test_empty_or_invalid_ignore_file_excludes_its_folder(
    name: str, content: str, tmp_path: Path
) -> None:
    _make(tmp_path, "music/song.mp3", "Podcasts/1.mp3", "Podcasts/deep/2.mp3")
    (tmp_path / "Podcasts" / name).write_text(content)
    assert _files(tmp_path) == ["music/song.mp3"]
    assert list(_ignored(tmp_path)) == ["Podcasts"]
    assert name in _ignored(tmp_path)["Podcasts"]


@pytest.mark.parametrize("name", [".ndignore", ".ignore", ".plexignore"])
def test_ignore_patterns(name: str, tmp_path: Path) -> None:
    _make(tmp_path, "a/1.mp3", "a/2.wav", "a/Podcasts/3.mp3", "b/4.wav", "keep.wav")
    _rules(tmp_path / name, "# not for the server", "", "Podcasts/", "*.wav", "!keep.wav")
    assert _files(tmp_path) == ["keep.wav", "a/1.mp3"]
    assert _ignored(tmp_path) == dict.fromkeys(
        ["a/2.wav", "a/Podcasts", "b/4.wav"], f"excluded by {tmp_path / name}"
    )


def test_innermost_ignore_file_takes_precedence(tmp_path: Path) -> None:
    _make(tmp_path, "a/x/1.mp3", "a/y/2.mp3", "x/3.mp3", "a/b/y/4.mp3")
    _rules(tmp_path / ".ndignore", "y")
    _rules(tmp_path / "a/.ndignore", "/x/")
    _rules(tmp_path / "a/b/.ignore", "!y/")
    assert _files(tmp_path) == ["a/b/y/4.mp3", "x/3.mp3"]
    assert list(_ignored(tmp_path)) == ["a/x", "a/y"]


def test_plexignore_with_only_comments_excludes_nothing(tmp_path: Path) -> None:
    _make(tmp_path, "b/2.mp3")
    _rules(tmp_path / "b/.plexignore", "# Podcasts/")
    assert _files(tmp_path) == ["b/2.mp3"]


def test_folders_named_like_ignore_files_are_not_read(tmp_path: Path) -> None:
    _make(tmp_path, "a/1.mp3", "a/.nomedia/x", "a/.ndignore/x")
    assert _files(tmp_path) == ["a/1.mp3"]


def test_ignored_paths_can_be_given_explicitly(tmp_path: Path) -> None:
    _make(tmp_path, "Podcasts/1.mp3")
    _rules(tmp_path / ".ndignore", "Podcasts/")
    assert _files(tmp_path / "Podcasts") == ["1.mp3"]
    assert _files(tmp_path / "Podcasts", tmp_path / "Podcasts/1.mp3") == ["1.mp3"]


def test_ignore_patterns_do_not_apply_to_covers(tmp_path: Path) -> None:
    _make(tmp_path, "1.mp3", "cover.jpg", "Scans/front.jpg")
    _rules(tmp_path / ".ndignore", "*.jpg", "Scans/")
    assert set(_walk(tmp_path)[0].pictures) == {"cover.jpg", "Scans/front.jpg"}


def test_artwork_folder_with_music_of_any_kind_has_no_covers(tmp_path: Path) -> None:
    _make(tmp_path, "1.mp3", "Covers/cover.png", "Covers/song.aac")
    album = _walk(tmp_path)[0]
    assert "Covers/cover.png" not in album.pictures
