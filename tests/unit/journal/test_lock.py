"""Two processes cannot write in the same place."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from covergen.core.app_folders import state_folder
from covergen.core.errors import BusyError
from covergen.journal.lock import library_lock

HOLD = """
import sys
from pathlib import Path
from covergen.journal.lock import library_lock
with library_lock("apply", tuple(map(Path, sys.argv[1:]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(*places: Path) -> Iterator[subprocess.Popen[str]]:
    """Start another process that holds the lock of these places."""
    command = [sys.executable, "-c", HOLD, *map(str, places)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        if process.poll() is None:
            process.communicate()


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    (folder / "artist").mkdir(parents=True)
    (tmp_path / "music of others").mkdir()
    (tmp_path / "link").symlink_to(folder)
    return folder


def test_second_process_is_refused_at_above_and_below_the_same_place(music: Path) -> None:
    with holder(music) as process:
        for place in (music, music / "artist", music.parent, music.parent / "link/artist"):
            with pytest.raises(BusyError) as caught, library_lock("tag", (place,)):
                pytest.fail("the lock was acquired")
            assert f"process {process.pid}" in caught.value.message
            assert "`apply`" in caught.value.message
            assert str(music) in caught.value.message
        with library_lock("tag", (music.parent / "music of others",)):
            pass
    with library_lock("tag", (music,)):
        pass


def test_lock_of_a_killed_process_is_released(music: Path) -> None:
    with holder(music) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with library_lock("tag", (music,)):
            assert len(list((state_folder() / "locks").glob("*.lock"))) == 1
    assert [path.name for path in (state_folder() / "locks").iterdir()] == ["door"]


def test_lock_is_released_after_an_error(music: Path) -> None:
    with pytest.raises(RuntimeError), library_lock("tag", (music,)):
        raise RuntimeError
    with library_lock("tag", (music,)):
        pass


def test_missing_state_folder_does_not_block(music: Path) -> None:
    state_folder().parent.mkdir(parents=True)
    state_folder().write_text("no folder")
    with library_lock("tag", (music,)):
        pass


def test_lock_file_that_cannot_be_deleted_blocks_nobody(
    music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Mock(side_effect=OSError(errno.EROFS, os.strerror(errno.EROFS)))
    with monkeypatch.context() as patch, library_lock("tag", (music,)):
        patch.setattr(Path, "unlink", failing)
    with library_lock("undo", (music,)):
        pass


@pytest.mark.processes
def test_thousand_locks_in_parallel_exclude_each_other(music: Path, tmp_path: Path) -> None:
    """Nobody may enter between the check for other locks and the creation of one's own."""
    code = (
        "import sys; from pathlib import Path; from contextlib import suppress\n"
        "from covergen.core.errors import BusyError\n"
        "from covergen.journal.lock import library_lock\n"
        "music, inside = map(Path, sys.argv[1:])\n"
        "for _ in range(250):\n"
        "    with suppress(BusyError), library_lock('tag', (music,)):\n"
        "        inside.touch(exist_ok=False)\n"
        "        inside.unlink()\n"
    )
    command = [sys.executable, "-c", code, str(music), str(tmp_path / "inside")]
    processes = [subprocess.Popen(command, env=dict(os.environ)) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4


def test_lock_with_unreadable_details_is_ignored(music: Path) -> None:
    with holder(music):
        for file in (state_folder() / "locks").glob("*.lock"):
            file.write_text("{")
        with library_lock("tag", (music,)):
            pass
