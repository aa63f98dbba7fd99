"""Copy, edit, verify, replace: no music file is ever damaged."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from covergen.core.album import Outcome, Status
from covergen.core.errors import DecodeError
from covergen.core.reasons import Reason
from covergen.library.formats.embedded_picture import FRONT_COVER, EmbeddedPicture
from covergen.library.pictures_in_files import read_pictures
from covergen.library.writing import rewrite
from covergen.library.writing.exchange import exchange
from covergen.library.writing.rewrite import RewriteOptions, write_cover
from tests.media import decoded_hash
from tests.unit.library.written import PNG, assert_refused, same_packets, track, write

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


# Success.


def test_write_replaces_the_file(song: Path) -> None:
    music, before = decoded_hash(song), song.stat()

    outcome = write(song, "flac", PNG)

    assert outcome == Outcome(path=song, status=Status.WRITTEN, reason=Reason.WRITTEN)
    assert song.stat().st_ino != before.st_ino
    assert song.stat().st_mtime_ns > before.st_mtime_ns
    assert decoded_hash(song) == music
    assert read_pictures(song, "flac") == [EmbeddedPicture(PNG.data, FRONT_COVER)]
    assert list(song.parent.iterdir()) == [song]


def test_open_readers_keep_the_old_file(song: Path, original: bytes) -> None:
    with song.open("rb") as player:
        first = player.read(1000)
        write(song, "flac", PNG)
        assert first + player.read() == original


def test_preserve_mtime(song: Path) -> None:
    os.utime(song, ns=(1_000_000_000_000_000_001, 1_000_000_000_000_000_003))

    write(song, "flac", PNG, RewriteOptions(preserve_mtime=True))

    assert song.stat().st_mtime_ns == 1_000_000_000_000_000_003


@pytest.mark.parametrize("mode", [0o600, 0o755, 0o2664])
def test_mode_is_preserved(song: Path, mode: int) -> None:
    song.chmod(mode)

    assert write(song, "flac", PNG).status is Status.WRITTEN

    assert stat.S_IMODE(song.stat().st_mode) == mode


@pytest.mark.skipif(not AS_ROOT, reason="only the superuser gives files away")
def test_owner_is_preserved(song: Path) -> None:
    os.chown(song, 12_345, 23_456)
    song.chmod(0o640)

    assert write(song, "flac", PNG).status is Status.WRITTEN

    after = song.stat()
    assert (after.st_uid, after.st_gid, after.st_mode & 0o777) == (12_345, 23_456, 0o640)


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no extended attributes in Python here")
def test_extended_attributes_are_preserved(song: Path) -> None:
    try:
        os.setxattr(song, "user.rating", b"\x05\x00 stars")
    except OSError:
        pytest.skip("no extended attributes in this file system")
    os.setxattr(song, "user.empty", b"")

    assert write(song, "flac", PNG).status is Status.WRITTEN

    assert os.getxattr(song, "user.rating") == b"\x05\x00 stars"
    assert {"user.rating", "user.empty"} <= set(os.listxattr(song))


@pytest.mark.parametrize(
    "name", ["x" * 250 + ".flac", "é" * 125 + ".flac", "-n\n*?.flac", "海🎵.flac"]
)
def test_unusual_file_names(song: Path, name: str) -> None:
    song = song.rename(song.with_name(name))

    assert write(song, "flac", PNG).status is Status.WRITTEN

    assert list(song.parent.iterdir()) == [song]


def test_symlink_stays_and_its_target_is_written(song: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    link = links / "link.flac"
    link.symlink_to(Path("..") / song.name)

    outcome = write(link, "flac", PNG)

    assert (outcome.path, outcome.status) == (link, Status.WRITTEN)
    assert link.readlink() == Path("..") / song.name
    assert read_pictures(song, "flac") == [EmbeddedPicture(PNG.data, FRONT_COVER)]
    assert sorted(tmp_path.iterdir()) == [links, song]
    assert list(links.iterdir()) == [link]


def test_hard_linked_file_is_skipped(song: Path, tmp_path: Path, original: bytes) -> None:
    seed = tmp_path / "seed.flac"
    seed.hardlink_to(song)

    outcome = write(song, "flac", PNG)

    assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.HARD_LINKED)
    assert song.samefile(seed)
    assert seed.read_bytes() == original


def test_hard_links_are_broken_on_request(song: Path, tmp_path: Path, original: bytes) -> None:
    seed = tmp_path / "seed.flac"
    seed.hardlink_to(song)

    outcome = write(song, "flac", PNG, RewriteOptions(hardlinks="break"))

    assert outcome.status is Status.WRITTEN
    assert seed.read_bytes() == original
    assert read_pictures(song, "flac") == [EmbeddedPicture(PNG.data, FRONT_COVER)]


def test_copy_is_synced_before_and_folder_after_replacing(
    song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync = os.fsync

    def logged_fsync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append(f"sync {kind}")
        fsync(descriptor)

    def logged_exchange(one: Path, other: Path) -> bool:
        steps.append("replace")
        return exchange(one, other)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr("covergen.library.writing.rewrite.exchange", logged_exchange)

    write(song, "flac", PNG)

    assert steps == ["sync file", "replace", "sync folder"]


# Failures before anything is copied.


def test_read_only_file_fails_even_for_root(song: Path, original: bytes) -> None:
    song.chmod(0o444)

    assert_refused(write(song, "flac", PNG), Reason.READ_ONLY, song, original)


def test_read_only_folder_fails_even_for_root(song: Path, tmp_path: Path, original: bytes) -> None:
    tmp_path.chmod(0o555)
    try:
        assert_refused(write(song, "flac", PNG), Reason.READ_ONLY, song, original)
    finally:
        tmp_path.chmod(0o755)


def test_full_disk_fails(song: Path, original: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(rewrite.shutil.disk_usage(song))(10_000_000, 9_990_000, 10_000)
    monkeypatch.setattr(rewrite.shutil, "disk_usage", lambda _: usage)

    assert_refused(write(song, "flac", PNG), Reason.NO_SPACE, song, original)


@pytest.mark.parametrize("change", [{"size": 1}, {"mtime_ns": 1}])
def test_file_changed_since_the_scan_fails(
    song: Path, original: bytes, change: dict[str, int]
) -> None:
    seen = replace(track(song, "flac"), **change)  # type: ignore[arg-type]  # both are numbers

    outcome = write_cover(seen, PNG, same_sound=same_packets, options=RewriteOptions())

    assert_refused(outcome, Reason.CHANGED, song, original)


def test_missing_file_fails(song: Path) -> None:
    seen = track(song, "flac")
    song.unlink()

    outcome = write_cover(seen, PNG, same_sound=same_packets, options=RewriteOptions())

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.CHANGED)
    assert list(song.parent.iterdir()) == []


def test_pipe_fails(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.flac"
    os.mkfifo(pipe)

    outcome = write(pipe, "flac", PNG)

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.NOT_AUDIO)


def test_unreadable_tags_fail(tmp_path: Path) -> None:
    text = tmp_path / "text.flac"
    text.write_bytes(b"no music")

    assert_refused(write(text, "flac", PNG), Reason.UNREADABLE, text, b"no music")


def test_other_audio_in_the_copy_fails(song: Path, original: bytes) -> None:
    outcome = write(song, "flac", PNG, same_sound=lambda *_: False)

    assert_refused(outcome, Reason.NOT_VERIFIED, song, original)


def test_undecodable_audio_fails(song: Path, original: bytes) -> None:
    def undecodable(path: Path, _: Path) -> bool:
        raise DecodeError(path, "no packets")

    outcome = write(song, "flac", PNG, same_sound=undecodable)

    assert_refused(outcome, Reason.UNDECODABLE, song, original)
