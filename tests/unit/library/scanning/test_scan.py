"""Scanning a library finds its albums, and a second scan opens no files."""

import errno
import io
import itertools
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from covergen.core.album import Action, Album, Outcome, Status, Track
from covergen.core.errors import Interrupted
from covergen.core.reasons import Reason
from covergen.library.read_track import read_track
from covergen.library.scanning.scan import ScanOptions, scan
from covergen.library.scanning.scan_cache import ScanCache
from covergen.pipeline.skip_rule import plan_by_covers
from tests.media import encode, picture_bytes, put_tags, video
from tests.media.library import make_library


@pytest.fixture
def add(sound: bytes, tmp_path: Path) -> Callable[..., Path]:
    """Add a tagged FLAC file to the library, under any name."""

    def add_track(name: str, **tags: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound)
        put_tags(path, "flac", tags)
        return path

    return add_track


@pytest.fixture
def scan_cache() -> Iterator[ScanCache]:
    scan_cache = ScanCache()
    yield scan_cache
    scan_cache.close()


def _no_stop() -> None:
    pass


def _scan(
    scan_cache: ScanCache, *paths: Path, options: ScanOptions | None = None
) -> list[Album | Outcome]:
    return list(scan(paths, options or ScanOptions(), scan_cache, check_interrupted=_no_stop))


def _albums(items: Sequence[Album | Outcome]) -> list[Album]:
    assert not [item for item in items if isinstance(item, Outcome)]
    return [item for item in items if isinstance(item, Album)]


def test_scan_of_a_whole_library(tmp_path: Path, scan_cache: ScanCache) -> None:
    library = make_library(tmp_path / "library")
    for _ in ("first", "from memory"):
        items = _scan(scan_cache, library.root)
        outcomes = {item.path: item for item in items if isinstance(item, Outcome)}
        assert outcomes.pop(library.root / "Podcasts").reason is Reason.IGNORED
        assert {path: item.reason for path, item in outcomes.items()} == library.failures
        assert all(item.status is Status.FAILED and item.message for item in outcomes.values())
        albums = [item for item in items if isinstance(item, Album)]
        assert {album.folder for album in albums} == library.albums.keys()
        for folder, expected in library.albums.items():
            here = [album for album in albums if album.folder == folder]
            assert len(here) == expected.albums, folder
            assert sum(len(album.tracks) for album in here) == expected.tracks, folder
            plans = [plan_by_covers(album, force=False, fill=False) for album in here]
            assert {plan.reason for plan in plans} == {expected.reason}, folder


BARE = ("1.aac", "2.AC3", "3.caf")


@pytest.fixture
def bare(tmp_path: Path) -> list[Path]:
    """An album of formats that cannot hold a cover."""
    folder = tmp_path / "Bare"
    folder.mkdir()
    for name in BARE:
        (folder / name).write_bytes(b"any sound")
    return [folder / name for name in BARE]


@pytest.mark.parametrize("beside", [True, False])
def test_files_that_cannot_hold_a_cover_are_skipped(
    add: Callable[..., Path], scan_cache: ScanCache, bare: list[Path], *, beside: bool
) -> None:
    if beside:
        add("Bare/4.flac", album="Album")

    for options in (None, ScanOptions(bare=True)) if beside else (None,):
        items = _scan(scan_cache, bare[0].parent, options=options)

        passed = [item for item in items if isinstance(item, Outcome)]
        assert [outcome.path for outcome in passed] == bare
        assert {(o.status, o.reason) for o in passed} == {(Status.SKIPPED, Reason.BARE)}
        assert len(items) - len(passed) == beside


def test_bare_option_includes_files_that_cannot_hold_a_cover(
    scan_cache: ScanCache, bare: list[Path]
) -> None:
    (album,) = _albums(_scan(scan_cache, bare[0].parent, options=ScanOptions(bare=True)))
    assert [track.path for track in album.tracks] == bare
    assert album.title == "Bare"
    for force in (False, True):
        plan = plan_by_covers(album, force=force, fill=False)
        assert (plan.action, plan.targets) == (Action.PAINT, ())


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
def test_wav_with_64_bit_sizes_cannot_hold_a_cover(
    tmp_path: Path, scan_cache: ScanCache, magic: bytes
) -> None:
    (tmp_path / "1.wav").write_bytes(magic + b"\xff\xff\xff\xffWAVEds64" + bytes(500))
    (passed,) = _scan(scan_cache, tmp_path)
    assert isinstance(passed, Outcome)
    assert (passed.status, passed.reason) == (Status.SKIPPED, Reason.BARE)


def test_mp4_with_aac_extension_can_hold_a_cover(tmp_path: Path, scan_cache: ScanCache) -> None:
    path = encode(tmp_path / "1.aac", "mp4", seconds=0.2)
    (album,) = _albums(_scan(scan_cache, tmp_path))
    assert [(track.path, track.container) for track in album.tracks] == [(path, "mp4")]


@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "mpeg4"), ("clip.webm", "libvpx")])
def test_video_is_skipped_unless_given_explicitly(
    tmp_path: Path, scan_cache: ScanCache, name: str, codec: str
) -> None:
    path = video(tmp_path / name, codec=codec, tags={"title": "Clip"})
    for _ in ("first", "from memory"):
        (passed,) = _scan(scan_cache, tmp_path)
        assert isinstance(passed, Outcome)
        assert (passed.path, passed.status, passed.reason) == (path, Status.SKIPPED, Reason.VIDEO)
    (album,) = _albums(_scan(scan_cache, path))
    assert [track.title for track in album.tracks] == ["Clip"]


@pytest.mark.parametrize("stills", [{"codec": "mjpeg"}, {"frames": 1}])
def test_chapter_stills_are_not_video(
    tmp_path: Path, scan_cache: ScanCache, stills: dict[str, Any]
) -> None:
    video(tmp_path / "book.mov", tags={"title": "Book"}, **stills).rename(tmp_path / "book.m4b")
    (album,) = _albums(_scan(scan_cache, tmp_path))
    assert [track.path.name for track in album.tracks] == ["book.m4b"]


def test_non_utf8_names(add: Callable[..., Path], scan_cache: ScanCache, tmp_path: Path) -> None:
    names = [os.fsdecode(b"\xff 1.flac"), "2\n.flac", "🎧" * 62 + ".flac"]
    paths = {add(f"{os.fsdecode(bytes([0xE9]))}/{name}", album="Album") for name in names}
    for _ in ("first", "from memory"):
        (album,) = _albums(_scan(scan_cache, tmp_path))
        assert {track.path for track in album.tracks} == paths


# Scan cache.


def test_second_scan_opens_no_files(add: Callable[..., Path], tmp_path: Path) -> None:
    for album, track in itertools.product("AB", "123"):
        add(f"library/{album}/{track}.flac", album=album)
    (tmp_path / "library/A/text.mp3").write_text("no music\n")
    (tmp_path / "library/A/cover.jpg").write_bytes(picture_bytes("jpeg"))
    (tmp_path / "library/B/Scans").mkdir()
    (tmp_path / "library/B/Scans/front.jpg").write_text("<html>" * 100)
    program = f"""
import os, sys
from pathlib import Path
from covergen.library.scanning.scan_cache import ScanCache
from covergen.library.scanning.scan import ScanOptions, scan
from covergen.library.read_track import read_track
library = Path({str(tmp_path / "library")!r})
opened = []
def listen(event, arguments):
    if event == "open" and str(arguments[0]).startswith(str(library)):
        opened.append(arguments[0])
sys.addaudithook(listen)
memory = ScanCache(Path({str(tmp_path / "scan.sqlite")!r}))
found = [len(list(scan([library], ScanOptions(), memory, check_interrupted=lambda: None)))]
print(len(opened), found)
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert runs == ["9 [3]", "0 [3]"]


def test_only_changed_files_are_read_again(
    add: Callable[..., Path], scan_cache: ScanCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = add("1.flac", album="Old"), add("2.flac", album="Old")
    _scan(scan_cache, tmp_path)
    read: list[Path] = []

    def noted(path: Path, stat: os.stat_result) -> Track:
        read.append(path)
        return read_track(path, stat)

    monkeypatch.setattr("covergen.library.scanning.scan.read_track", noted)
    put_tags(second, "flac", {"album": "New"})
    stat = second.stat()
    os.utime(second, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert {album.title for album in _albums(_scan(scan_cache, tmp_path))} == {"Old", "New"}
    assert read == [second]
    scan_cache.forget(first)
    _scan(scan_cache, tmp_path)
    assert read == [second, first]


def test_failures_are_cached_until_the_file_changes(
    add: Callable[..., Path], scan_cache: ScanCache, tmp_path: Path
) -> None:
    text = tmp_path / "song.mp3"
    text.write_text("no music\n")
    for _ in ("first", "from memory"):
        (outcome,) = _scan(scan_cache, tmp_path)
        assert isinstance(outcome, Outcome)
        assert (outcome.path, outcome.reason) == (text, Reason.NOT_AUDIO)
    add("song.mp3", album="Album")
    assert len(_albums(_scan(scan_cache, tmp_path))) == 1


def test_permission_errors_are_not_cached(
    add: Callable[..., Path], scan_cache: ScanCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = add("1.flac", album="Album")
    with monkeypatch.context() as patch:
        denied = PermissionError(13, "Permission denied")

        refuse = Mock(side_effect=denied)
        patch.setattr("covergen.library.read_track.io.FileIO", refuse)
        (outcome,) = _scan(scan_cache, tmp_path)
    assert isinstance(outcome, Outcome)
    assert (outcome.path, outcome.reason) == (path, Reason.UNREADABLE)
    assert outcome.message == "Permission denied"
    assert len(_albums(_scan(scan_cache, tmp_path))) == 1


@pytest.mark.parametrize("failing", [1, 2])
def test_disk_errors_are_not_cached(
    scan_cache: ScanCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    encode(tmp_path / "song.wav", "wav", seconds=0.1)
    numbers = itertools.count(1)

    class Failing(io.FileIO):
        """The second one opened is for the check of the tag's cost."""

        def __init__(self, path: str) -> None:
            super().__init__(path)
            self.number = next(numbers)

        def close(self) -> None:
            was_open = not self.closed
            super().close()
            if was_open and self.number == failing:
                raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("covergen.library.read_track.io.FileIO", Failing)
        (outcome,) = _scan(scan_cache, tmp_path)
    assert isinstance(outcome, Outcome)
    assert outcome.message == "Input/output error"
    assert len(_albums(_scan(scan_cache, tmp_path))) == 1


def test_deleted_files_are_removed_from_the_cache(
    add: Callable[..., Path], scan_cache: ScanCache, tmp_path: Path
) -> None:
    deleted = add("1.flac", album="Album")
    kept = add("2.flac", album="Album")
    _scan(scan_cache, tmp_path)
    deleted.unlink()
    _scan(scan_cache, kept)
    assert len(scan_cache.recall(tmp_path)) == 2, "the folder was not listed"
    _scan(scan_cache, tmp_path, options=ScanOptions(exclude=("2.flac",)))
    assert scan_cache.recall(tmp_path).keys() == {"2.flac"}


def test_interrupted_scan_keeps_its_results(
    add: Callable[..., Path], scan_cache: ScanCache, tmp_path: Path
) -> None:
    for number in range(5):
        add(f"{number}.flac", album="Album")
    calls = itertools.count()

    def stop_at_the_fourth() -> None:
        if next(calls) == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        list(scan([tmp_path], ScanOptions(), scan_cache, check_interrupted=stop_at_the_fourth))
    assert scan_cache.recall(tmp_path).keys() == {"0.flac", "1.flac"}
    (album,) = _albums(_scan(scan_cache, tmp_path))
    assert len(album.tracks) == 5


def test_memory_does_not_grow_with_the_library(
    add: Callable[..., Path], scan_cache: ScanCache, tmp_path: Path
) -> None:
    source = add("source/1.flac", album="Album", artist="Artist")
    for number in range(600):
        folder = tmp_path / ("large" if number >= 60 else "small") / str(number)
        folder.mkdir(parents=True)
        os.link(source, folder / "1.flac")

    def peak(folder: Path) -> int:
        tracemalloc.start()
        try:
            for _ in scan([folder], ScanOptions(), scan_cache, check_interrupted=_no_stop):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(tmp_path / "source")  # loads what is loaded once
    small, large = peak(tmp_path / "small"), peak(tmp_path / "large")
    assert large - small < 540 * 400  # a name and a number for each of 540 folders more
