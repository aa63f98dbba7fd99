"""Copy, edit, verify, replace: the promise that no music file ever comes to harm."""

import errno
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mutagen.flac import FLAC

from covergen.core.errors import DecodeError, WriteError
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.core.types import Outcome, Status
from covergen.library import file_copy, rewrite
from covergen.library.pictures import FRONT_COVER, EmbeddedPicture, read_pictures
from covergen.library.rewrite import RewriteOptions, remove_stale, write_cover
from covergen.library.temporary import temporary
from tests.media import decoded_hash, encode
from tests.unit.library.writing import JPEG, PNG, large, packet_hash, track, write

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("original") / "song.flac"
    return encode(path, "flac", seconds=0.5, tags={"title": "T", "artist": "A"}).read_bytes()


@pytest.fixture
def song(tmp_path: Path, original: bytes) -> Path:
    path = tmp_path / "song.flac"
    path.write_bytes(original)
    return path


def assert_refused(outcome: Outcome, reason: Reason, song: Path, original: bytes) -> None:
    assert (outcome.status, outcome.reason, outcome.path) == (Status.FAILED, reason, song)
    assert outcome.message
    assert song.read_bytes() == original
    assert list(song.parent.iterdir()) == [song]


# What goes well.


def test_a_file_is_replaced_by_a_new_one(song: Path) -> None:
    music, before = decoded_hash(song), song.stat()

    outcome = write(song, "flac", PNG)

    assert outcome == Outcome(path=song, status=Status.WRITTEN, reason=Reason.WRITTEN)
    assert song.stat().st_ino != before.st_ino
    assert song.stat().st_mtime_ns > before.st_mtime_ns
    assert decoded_hash(song) == music
    assert read_pictures(song, "flac") == [EmbeddedPicture(PNG.data, FRONT_COVER)]
    assert list(song.parent.iterdir()) == [song]


def test_whoever_reads_the_old_file_meanwhile_hears_it_to_the_end(
    song: Path, original: bytes
) -> None:
    with song.open("rb") as player:
        first = player.read(1000)
        write(song, "flac", PNG)
        assert first + player.read() == original


def test_mtime_is_kept_where_asked_for(song: Path) -> None:
    os.utime(song, ns=(1_000_000_000_000_000_001, 1_000_000_000_000_000_003))

    write(song, "flac", PNG, RewriteOptions(preserve_mtime=True))

    assert song.stat().st_mtime_ns == 1_000_000_000_000_000_003


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o755, 0o2664])
def test_the_mode_stays(song: Path, mode: int) -> None:
    song.chmod(mode)

    assert write(song, "flac", PNG).status is Status.WRITTEN

    assert stat.S_IMODE(song.stat().st_mode) == mode


@pytest.mark.skipif(not AS_ROOT, reason="only the superuser gives files away")
def test_the_owner_stays(song: Path) -> None:
    os.chown(song, 12_345, 23_456)
    song.chmod(0o640)

    assert write(song, "flac", PNG).status is Status.WRITTEN

    after = song.stat()
    assert (after.st_uid, after.st_gid, after.st_mode & 0o777) == (12_345, 23_456, 0o640)


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no extended attributes in Python here")
def test_extended_attributes_stay(song: Path) -> None:
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
def test_any_name_goes(song: Path, name: str) -> None:
    song = song.rename(song.with_name(name))

    assert write(song, "flac", PNG).status is Status.WRITTEN

    assert list(song.parent.iterdir()) == [song]


def test_a_symbolic_link_stays_and_its_target_is_written(song: Path, tmp_path: Path) -> None:
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


def test_several_hard_links_are_left_alone(song: Path, tmp_path: Path, original: bytes) -> None:
    seed = tmp_path / "seed.flac"
    seed.hardlink_to(song)

    outcome = write(song, "flac", PNG)

    assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.HARD_LINKED)
    assert song.samefile(seed)
    assert seed.read_bytes() == original


def test_hard_links_are_parted_where_asked_for(song: Path, tmp_path: Path, original: bytes) -> None:
    seed = tmp_path / "seed.flac"
    seed.hardlink_to(song)

    outcome = write(song, "flac", PNG, RewriteOptions(hardlinks="break"))

    assert outcome.status is Status.WRITTEN
    assert seed.read_bytes() == original
    assert read_pictures(song, "flac") == [EmbeddedPicture(PNG.data, FRONT_COVER)]


def test_the_same_picture_is_not_written_again(song: Path) -> None:
    write(song, "flac", PNG)
    song.chmod(0o444)
    before = song.stat()

    outcome = write(song, "flac", PNG)

    assert (outcome.status, outcome.reason) == (Status.UNCHANGED, Reason.EQUAL)
    assert song.stat() == before


def test_the_audio_of_each_file_is_hashed_once(song: Path) -> None:
    hashed = []

    def digest(path: Path) -> str:
        hashed.append(path)
        return packet_hash(path)

    write(song, "flac", PNG, audio_digest=digest)

    assert len(hashed) == 2
    assert hashed.count(song) == 1


def test_the_copy_is_on_the_disk_before_it_replaces_and_the_folder_after(
    song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, move = os.fsync, Path.replace

    def logged_fsync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append(f"sync {kind}")
        fsync(descriptor)

    def logged_replace(self: Path, target: Path) -> Path:
        steps.append("replace")
        return move(self, target)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(Path, "replace", logged_replace)

    write(song, "flac", PNG)

    assert steps == ["sync file", "replace", "sync folder"]


# What is refused before anything is copied.


def test_a_read_only_file_is_refused_even_to_root(song: Path, original: bytes) -> None:
    song.chmod(0o444)

    assert_refused(write(song, "flac", PNG), Reason.READ_ONLY, song, original)


def test_a_read_only_folder_is_refused_even_to_root(
    song: Path, tmp_path: Path, original: bytes
) -> None:
    tmp_path.chmod(0o555)
    try:
        assert_refused(write(song, "flac", PNG), Reason.READ_ONLY, song, original)
    finally:
        tmp_path.chmod(0o755)


def test_a_full_disk_is_refused(
    song: Path, original: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(rewrite.shutil.disk_usage(song))(10_000_000, 9_990_000, 10_000)
    monkeypatch.setattr(rewrite.shutil, "disk_usage", lambda _: usage)

    assert_refused(write(song, "flac", PNG), Reason.NO_SPACE, song, original)


@pytest.mark.parametrize("change", [{"size": 1}, {"mtime_ns": 1}])
def test_a_file_that_changed_since_the_scan_is_refused(
    song: Path, original: bytes, change: dict[str, int]
) -> None:
    seen = replace(track(song, "flac"), **change)  # type: ignore[arg-type]  # both are numbers

    outcome = write_cover(seen, PNG, audio_digest=packet_hash, options=RewriteOptions())

    assert_refused(outcome, Reason.CHANGED, song, original)


def test_a_file_that_is_gone_is_an_outcome(song: Path) -> None:
    seen = track(song, "flac")
    song.unlink()

    outcome = write_cover(seen, PNG, audio_digest=packet_hash, options=RewriteOptions())

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.CHANGED)
    assert list(song.parent.iterdir()) == []


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.flac"
    os.mkfifo(pipe)

    outcome = write(pipe, "flac", PNG)

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.NOT_AUDIO)


def test_a_file_whose_tags_cannot_be_read_is_an_outcome(tmp_path: Path) -> None:
    text = tmp_path / "text.flac"
    text.write_bytes(b"no music")

    assert_refused(write(text, "flac", PNG), Reason.UNREADABLE, text, b"no music")


def test_audio_that_cannot_be_hashed_is_an_outcome(song: Path, original: bytes) -> None:
    def undecodable(path: Path) -> str:
        raise DecodeError(path, "no packets")

    outcome = write(song, "flac", PNG, audio_digest=undecodable)

    assert_refused(outcome, Reason.UNDECODABLE, song, original)


# What goes wrong on the way.

Edit = Callable[[Path], None]


def after_the_edit(monkeypatch: pytest.MonkeyPatch, change: Edit) -> None:
    """Let a fault of the edit, or of the disk, change the copy behind its back."""
    put = rewrite.put_front_cover

    def faulty(path: Path, container: str, picture: Picture) -> str:
        note = put(path, container, picture)
        before = path.read_bytes()
        change(path)
        assert path.read_bytes() != before
        return note

    monkeypatch.setattr(rewrite, "put_front_cover", faulty)


def flip_a_byte_of_the_audio(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def lose_the_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def change_a_tag(path: Path) -> None:
    file = FLAC(path)
    file["title"] = "t"
    file.save()


def flip_a_byte_of_the_picture(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(PNG.data, PNG.data[:-1] + b"\0"))


def lose_the_picture(path: Path) -> None:
    file = FLAC(path)
    file.clear_pictures()
    file.save()


def destroy_the_file(path: Path) -> None:
    path.write_bytes(b"\0" * 5000)


@pytest.mark.parametrize(
    "change",
    [
        flip_a_byte_of_the_audio,
        lose_the_end,
        change_a_tag,
        flip_a_byte_of_the_picture,
        lose_the_picture,
        destroy_the_file,
    ],
)
def test_a_faulty_edit_is_thrown_away(
    song: Path, original: bytes, monkeypatch: pytest.MonkeyPatch, change: Edit
) -> None:
    after_the_edit(monkeypatch, change)

    assert_refused(write(song, "flac", PNG), Reason.NOT_VERIFIED, song, original)


STEPS = (
    "copy_bytes",
    "put_front_cover",
    "remaining",
    "copy_metadata",
    "sync_file",
)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, Reason.NO_SPACE),
        (errno.EDQUOT, Reason.NO_SPACE),
        (errno.EROFS, Reason.READ_ONLY),
        (errno.EACCES, Reason.READ_ONLY),
        (errno.EIO, Reason.IO_ERROR),
    ],
)
def test_an_error_of_the_system_at_any_step_leaves_no_trace(
    song: Path,
    original: bytes,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    code: int,
    reason: Reason,
) -> None:
    real = getattr(rewrite, step)

    def failing(*args: object, **kwargs: object) -> None:
        real(*args, **kwargs)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(rewrite, step, failing)

    outcome = write(song, "flac", PNG)

    assert_refused(outcome, reason, song, original)
    assert os.strerror(code) in outcome.message


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError, RuntimeError])
def test_whatever_stops_the_program_leaves_no_trace(
    song: Path,
    original: bytes,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: type[BaseException],
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(rewrite, step, failing)

    with pytest.raises(error):
        write(song, "flac", PNG)

    assert song.read_bytes() == original
    assert list(song.parent.iterdir()) == [song]


@pytest.fixture
def limited(original: bytes) -> Iterator[None]:
    """No file may grow larger than a little more than the song: a true error in mid-write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(original) + 50_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("limited")
def test_a_write_that_fails_half_way_leaves_no_trace(song: Path, original: bytes) -> None:
    outcome = write(song, "flac", large(PNG, 3_000_000))

    assert_refused(outcome, Reason.NO_SPACE, song, original)


def test_the_replacing_itself_may_fail(
    song: Path, original: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: Path, target: Path) -> Path:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "replace", failing)

    assert_refused(write(song, "flac", PNG), Reason.READ_ONLY, song, original)


def test_a_folder_that_cannot_be_synced_does_not_undo_the_write(
    song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def failing(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)

    assert write(song, "flac", PNG).status is Status.WRITTEN


def change_the_bytes(song: Path) -> None:
    with song.open("r+b") as file:
        file.seek(-50, os.SEEK_END)
        file.write(b"other")


def change_the_bytes_and_hide_it(song: Path) -> None:
    before = song.stat()
    change_the_bytes(song)
    os.utime(song, ns=(before.st_atime_ns, before.st_mtime_ns))


def put_another_file_in_its_place(song: Path) -> None:
    other = song.with_name("other")
    other.write_bytes(song.read_bytes() + b"more")
    other.replace(song)


@pytest.mark.parametrize(
    "change", [change_the_bytes, change_the_bytes_and_hide_it, put_another_file_in_its_place]
)
def test_a_change_by_someone_else_meanwhile_wins(
    song: Path, monkeypatch: pytest.MonkeyPatch, change: Edit
) -> None:
    copied = rewrite.copy_metadata

    def late(*args: object, **kwargs: object) -> None:
        copied(*args, **kwargs)  # type: ignore[arg-type]  # as handed in
        change(song)

    monkeypatch.setattr(rewrite, "copy_metadata", late)

    outcome = write(song, "flac", PNG)

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.CHANGED)
    assert b"other" in song.read_bytes() or song.read_bytes().endswith(b"more")
    assert list(song.parent.iterdir()) == [song]


def test_a_file_whose_owner_cannot_be_kept_is_refused(
    song: Path, original: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    foreign = os.stat_result((0o100644, 0, 0, 1, 54_321, 54_321, 0, 0, 0, 0))
    monkeypatch.setattr(os, "chown", refused)
    copied = rewrite.copy_metadata
    monkeypatch.setattr(rewrite, "copy_metadata", lambda s, t, _, **k: copied(s, t, foreign, **k))

    outcome = write(song, "flac", PNG)

    assert_refused(outcome, Reason.READ_ONLY, song, original)
    assert "belongs to another user" in outcome.message


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no extended attributes in Python here")
def test_an_attribute_of_the_owner_that_cannot_be_kept_stops_the_write(
    song: Path, original: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "listxattr", lambda _: ["user.rating"])
    monkeypatch.setattr(os, "getxattr", lambda *_: b"5")
    monkeypatch.setattr(os, "setxattr", full)

    assert_refused(write(song, "flac", PNG), Reason.NO_SPACE, song, original)

    monkeypatch.setattr(os, "listxattr", lambda _: ["security.selinux"])
    assert write(song, "flac", PNG).status is Status.WRITTEN


def test_an_outcome_says_what_the_note_of_the_container_says(
    song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = rewrite.put_front_cover
    monkeypatch.setattr(rewrite, "put_front_cover", lambda *args: put(*args) + "a note")

    assert write(song, "flac", JPEG).message == "a note"


def test_a_picture_too_large_for_its_container_is_an_outcome(song: Path, original: bytes) -> None:
    assert_refused(write(song, "flac", large(PNG, 1 << 24)), Reason.TOO_LARGE, song, original)


def test_a_copy_is_the_same(song: Path, tmp_path: Path, original: bytes) -> None:
    target = tmp_path / "copy"
    target.write_bytes(b"much longer" * 10_000)

    file_copy.copy_bytes(song, target)

    assert target.read_bytes()[: len(original)] == original
    assert target.stat().st_size == len(original)


# What a killed run leaves behind.

STALE = ".covergen-0123abcd.tmp"


def test_stale_temporaries_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / STALE).write_bytes(b"half a copy")
    kept = [
        ".covergen-0123abcd.tmp2", "x.covergen-0123abcd.tmp", ".covergen-0123ABCD.tmp",
        ".covergen-0123abc.tmp", ".covergen-.tmp", "song.flac",
    ]  # fmt: skip
    for name in kept:
        (tmp_path / name).write_bytes(b"kept")
    (tmp_path / ".covergen-00000000.tmp").mkdir()
    (tmp_path / ".covergen-11111111.tmp").symlink_to("song.flac")

    remove_stale(tmp_path)

    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted([*kept, ".covergen-00000000.tmp", ".covergen-11111111.tmp"])
    assert all((tmp_path / name).read_bytes() == b"kept" for name in kept)


def test_a_temporary_at_work_is_left_alone(tmp_path: Path) -> None:
    with temporary(tmp_path) as path:
        remove_stale(tmp_path)
        assert path.exists()
    assert not path.exists()


def test_a_temporary_of_a_living_process_is_left_and_of_a_killed_one_removed(
    tmp_path: Path,
) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from covergen.library.temporary import temporary\n"
        "with temporary(Path(sys.argv[1])) as path: print(path.name, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path = tmp_path / process.stdout.readline().strip()
        remove_stale(tmp_path)
        assert path.exists()
        process.kill()
    assert path.exists()

    remove_stale(tmp_path)

    assert not path.exists()


def test_a_folder_that_is_gone_has_nothing_stale(tmp_path: Path) -> None:
    remove_stale(tmp_path / "gone")


def test_temporary_names_are_hidden_short_and_fixed(tmp_path: Path) -> None:
    with temporary(tmp_path) as path:
        assert path.parent == tmp_path
        assert path.name.startswith(".")
        assert len(path.name) == len(STALE)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_write_errors_carry_their_path() -> None:
    error = WriteError(Path("a"), Reason.CHANGED, "x")
    assert Outcome.of_error(error).path == Path("a")
