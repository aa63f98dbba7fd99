"""If anything fails during a write, the original stays and no other file is left."""

import errno
import os
import resource
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from unittest.mock import Mock

import pytest
from mutagen.flac import FLAC

from covergen.core.album import Status
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.library.formats.embedded_picture import PictureFilter
from covergen.library.writing import reversal, rewrite
from covergen.library.writing.change import Change
from covergen.library.writing.rewrite import RewriteOptions, write_cover
from tests.unit.library.written import (
    PNG,
    assert_refused,
    large,
    same_packets,
    track,
    write,
)

Edit = Callable[[Path], None]


def after_the_edit(monkeypatch: pytest.MonkeyPatch, change: Edit) -> None:
    """Change the copy after the edit, like a bug in the edit or a disk fault."""
    edit = rewrite.edit_pictures

    def faulty(
        path: Path, container: str, should_remove: PictureFilter, new: Picture | None
    ) -> str:
        note = edit(path, container, should_remove, new)
        before = path.read_bytes()
        change(path)
        assert path.read_bytes() != before
        return note

    monkeypatch.setattr(rewrite, "edit_pictures", faulty)


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
def test_faulty_edit_is_discarded(
    song: Path, original: bytes, monkeypatch: pytest.MonkeyPatch, change: Edit
) -> None:
    after_the_edit(monkeypatch, change)

    assert_refused(write(song, "flac", PNG), Reason.NOT_VERIFIED, song, original)


STEPS = (
    "copy_bytes",
    "edit_pictures",
    "remaining",
    "copy_metadata",
    "sync_file",
)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), Reason.NO_SPACE),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), Reason.NO_SPACE),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), Reason.READ_ONLY),
        (OSError(errno.EIO, os.strerror(errno.EIO)), Reason.IO_ERROR),
        (KeyboardInterrupt(), None),
        (RuntimeError(), None),
    ],
    ids=repr,
)
def test_error_at_any_step_leaves_no_trace(
    song: Path,
    original: bytes,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: BaseException,
    reason: Reason | None,
) -> None:
    real = getattr(rewrite, step)

    def failing(*args: object, **kwargs: object) -> None:
        real(*args, **kwargs)
        raise error

    monkeypatch.setattr(rewrite, step, failing)

    if isinstance(error, OSError) and reason:
        outcome = write(song, "flac", PNG)
        assert_refused(outcome, reason, song, original)
        assert os.strerror(error.errno) in outcome.message
    else:
        with pytest.raises(type(error)):
            write(song, "flac", PNG)
        assert song.read_bytes() == original
        assert list(song.parent.iterdir()) == [song]


@pytest.fixture
def limited(original: bytes) -> Iterator[None]:
    """Limit the file size to slightly more than the song, for a real error in mid-write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(original) + 50_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("limited")
def test_failed_partial_write_leaves_no_trace(song: Path, original: bytes) -> None:
    outcome = write(song, "flac", large(PNG, 3_000_000))

    assert_refused(outcome, Reason.NO_SPACE, song, original)


def test_failed_replacement_leaves_no_trace(
    song: Path, original: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Mock(side_effect=PermissionError(errno.EPERM, "Operation not permitted"))
    monkeypatch.setattr(rewrite, "exchange", failing)
    assert_refused(write(song, "flac", PNG), Reason.READ_ONLY, song, original)

    monkeypatch.setattr(rewrite, "exchange", lambda *_: False)
    monkeypatch.setattr(Path, "replace", failing)
    assert_refused(write(song, "flac", PNG), Reason.READ_ONLY, song, original)


def test_rename_is_used_if_exchange_is_unsupported(
    song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrite, "exchange", lambda *_: False)
    assert write(song, "flac", PNG).status is Status.WRITTEN
    assert list(song.parent.iterdir()) == [song]


def test_disk_failure_after_replacement_reports_written(
    song: Path, original: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, patch = rewrite.exchange, pytest.MonkeyPatch()

    failing = Mock(side_effect=OSError(errno.EIO, os.strerror(errno.EIO)))

    def last(copy: Path, path: Path) -> bool:
        if not real(copy, path):
            copy.replace(path)
        for owner, name in ((Path, "lstat"), (Path, "unlink"), (os, "open"), (os, "close")):
            patch.setattr(owner, name, failing)
        return True

    monkeypatch.setattr(rewrite, "exchange", last)
    try:
        outcome = write(song, "flac", PNG)
    finally:
        patch.undo()
    assert outcome.status is Status.WRITTEN
    assert song.read_bytes() != original


def test_failed_folder_sync_is_ignored(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_change_during_the_edit_is_kept(
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


def let_a_link_take_its_place(song: Path) -> None:
    song.unlink()
    song.symlink_to("elsewhere")


@pytest.mark.parametrize(
    "change",
    [change_the_bytes, put_another_file_in_its_place, let_a_link_take_its_place, Path.unlink],
)
def test_change_just_before_replacement_is_kept(
    song: Path, monkeypatch: pytest.MonkeyPatch, change: Edit
) -> None:
    """Between the last check of the file and its replacement."""
    real = rewrite.exchange
    if not real(song, Path(shutil.copy(song, song.with_name("probe")))):
        pytest.skip("not supported by this file system")
    song.with_name("probe").unlink()
    left = []

    def late(copy: Path, path: Path) -> bool:
        if not left:
            change(song)
            left.append(song.lstat() if os.path.lexists(song) else None)
        return real(copy, path)

    monkeypatch.setattr(rewrite, "exchange", late)

    outcome = write(song, "flac", PNG)

    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.CHANGED)
    (before,) = left
    assert list(song.parent.iterdir()) == ([song] if before else [])
    if before:
        after = song.lstat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_write_fails_if_owner_cannot_be_preserved(
    song: Path, original: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = Mock(side_effect=PermissionError(errno.EPERM, "Operation not permitted"))
    foreign = os.stat_result((0o100644, 0, 0, 1, 54_321, 54_321, 0, 0, 0, 0))
    monkeypatch.setattr(os, "chown", refused)
    copied = rewrite.copy_metadata
    monkeypatch.setattr(rewrite, "copy_metadata", lambda s, t, _, **k: copied(s, t, foreign, **k))

    outcome = write(song, "flac", PNG)

    assert_refused(outcome, Reason.READ_ONLY, song, original)
    assert "belongs to another user" in outcome.message


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no extended attributes in Python here")
def test_write_fails_if_user_attribute_cannot_be_preserved(
    song: Path, original: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
    name = "user.rating"
    monkeypatch.setattr(os, "listxattr", lambda path: [name] if path == song else [])
    monkeypatch.setattr(os, "getxattr", lambda *_: b"5")
    monkeypatch.setattr(os, "setxattr", full)

    assert_refused(write(song, "flac", PNG), Reason.NO_SPACE, song, original)

    name = "security.selinux"
    assert write(song, "flac", PNG).status is Status.WRITTEN


def test_irreversible_write_requires_no_journal(
    song: Path, original: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unexpected(_: Change) -> AbstractContextManager[None]:
        raise AssertionError("nothing should be recorded")

    monkeypatch.setattr(reversal, "_MAX_BYTES", -1)
    seen = track(song, "flac")
    options = RewriteOptions()
    outcome = write_cover(seen, PNG, same_sound=same_packets, options=options, record=unexpected)
    assert_refused(outcome, Reason.IRREVERSIBLE, song, original)
    assert "--no-journal" in outcome.message
    assert write_cover(seen, PNG, same_sound=same_packets, options=options).status is Status.WRITTEN
