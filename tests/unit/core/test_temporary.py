"""Temporaries: hidden, locked while they are worked on, and removed when they are not."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from covergen.core.temporary import temporary
from covergen.library.writing.rewrite import remove_stale

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


def test_one_that_cannot_be_deleted_harms_nothing_and_goes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch, temporary(tmp_path) as path:
        patch.setattr(Path, "unlink", failing)
    assert path.exists()
    remove_stale(tmp_path)
    assert not path.exists()


def test_a_temporary_of_a_living_process_is_left_and_of_a_killed_one_removed(
    tmp_path: Path,
) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from covergen.core.temporary import temporary\n"
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


def test_temporary_names_are_hidden_short_and_fixed(tmp_path: Path) -> None:
    with temporary(tmp_path) as path:
        assert path.parent == tmp_path
        assert path.name.startswith(".")
        assert len(path.name) == len(STALE)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
