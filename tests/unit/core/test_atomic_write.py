"""Atomic writes: the new file is complete, or the old one is unchanged."""

import errno
import os
import re
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import pytest

import covergen
from covergen.core.atomic_write import remove_stale, replacing, temporary, write_whole

STALE = ".covergen-0123abcd.tmp"
PACKAGE = Path(covergen.__file__).parent


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_no_other_module_has_an_atomic_writer_of_its_own() -> None:
    own = re.compile(r"fsync|mkstemp|NamedTemporaryFile|os\.(replace|rename)\b|\.rename\(")
    found = {path.name for path in PACKAGE.rglob("*.py") if own.search(path.read_text("utf-8"))}
    assert found == {"atomic_write.py"}


def test_replaces_an_existing_file_for_those_who_open_it_afterwards(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old and long")
    with (tmp_path / "file").open("rb") as opened_before:
        write_whole(tmp_path / "file", b"new")
        assert opened_before.read() == b"old and long"
    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["file", "new"])
def test_full_disk_changes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / name, b"new")
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_an_error_while_writing_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with suppress(KeyboardInterrupt), replacing(tmp_path / "file") as new:
        new.write_bytes(b"half")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_follows_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_mode_is_that_of_the_old_file_or_of_any_new_one(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_whole(tmp_path / "new", b"new")
    assert mode(tmp_path / "new") == mode(tmp_path / "usual")
    for bits in (0o600, 0o444):
        (tmp_path / "new").chmod(bits)
        write_whole(tmp_path / "new", b"newer")
        assert mode(tmp_path / "new") == bits


def test_rejects_a_folder_and_a_missing_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "missing/file", tmp_path / "folder"):
        with pytest.raises(OSError, match="directory"):
            write_whole(path, b"new")
    assert names(tmp_path) == ["folder"]


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

    assert names(tmp_path) == sorted([*kept, ".covergen-00000000.tmp", ".covergen-11111111.tmp"])
    assert all((tmp_path / name).read_bytes() == b"kept" for name in kept)


def test_a_temporary_in_use_is_left(tmp_path: Path) -> None:
    with temporary(tmp_path) as path:
        remove_stale(tmp_path)
        assert path.exists()
    assert not path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
def test_a_temporary_is_not_locked_where_that_prevents_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SMB shares, a locked file cannot be written through another descriptor: flock(2)."""
    import fcntl

    locked: list[int] = []

    def lock(descriptor: int, operation: int) -> None:
        locked[:] = [] if operation == fcntl.LOCK_UN else [descriptor]

    def write(path: Path, data: bytes) -> int:
        if locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        with path.open("wb") as file:
            return file.write(data)

    monkeypatch.setattr(fcntl, "flock", lock)
    monkeypatch.setattr(Path, "write_bytes", write)
    write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_temporary_that_cannot_be_deleted_is_removed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Mock(side_effect=OSError(errno.EIO, os.strerror(errno.EIO)))
    with monkeypatch.context() as patch, temporary(tmp_path) as path:
        patch.setattr(Path, "unlink", failing)
    assert path.exists()
    remove_stale(tmp_path)
    assert not path.exists()


def test_a_temporary_of_a_killed_process_is_removed_but_not_of_a_live_one(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from covergen.core.atomic_write import temporary\n"
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


def test_a_missing_folder_has_nothing_stale(tmp_path: Path) -> None:
    remove_stale(tmp_path / "gone")


def test_temporaries_are_hidden_short_and_private(tmp_path: Path) -> None:
    with temporary(tmp_path) as path:
        assert path.parent == tmp_path
        assert path.name.startswith(".")
        assert len(path.name) == len(STALE)
        assert mode(path) == 0o600
