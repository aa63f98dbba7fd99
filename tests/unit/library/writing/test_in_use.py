"""Files that another program is still writing are skipped."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from covergen.core.album import Status
from covergen.core.reasons import Reason
from covergen.library.writing.in_use import is_being_written
from covergen.library.writing.rewrite import RewriteOptions, obstacle
from tests.unit.library.written import PNG, same_packets, track, write

LEASES = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has read leases")
_HOLD = (
    "import sys; f = open(sys.argv[1], sys.argv[2]); print('open', flush=True); sys.stdin.read()"
)


def skip_reason(song: Path, options: RewriteOptions) -> Reason | None:
    """The reason why a plan skips the file."""
    outcome = obstacle(track(song, "flac"), options)
    return outcome.reason if outcome else None


@contextmanager
def held_open(path: Path, mode: str) -> Iterator[None]:
    """Keep the file open in another process."""
    command = [sys.executable, "-c", _HOLD, str(path), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield
        process.communicate()


@LEASES
@pytest.mark.parametrize(("mode", "written"), [("r+b", True), ("ab", True), ("rb", False)])
def test_only_files_open_for_writing_are_in_use(song: Path, mode: str, *, written: bool) -> None:
    with held_open(song, mode):
        assert is_being_written(song) is written
    assert not is_being_written(song)


@LEASES
def test_file_open_for_writing_is_skipped(song: Path, original: bytes) -> None:
    with song.open("ab") as downloader:
        assert skip_reason(song, RewriteOptions()) is Reason.IN_USE
        outcome = write(song, "flac", PNG)
        assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.IN_USE)
        downloader.write(b"the rest")
    assert song.read_bytes() == original + b"the rest"
    assert list(song.parent.iterdir()) == [song]


@LEASES
def test_file_opened_for_writing_during_the_edit_is_skipped(song: Path, original: bytes) -> None:
    opened = []

    def same_sound(one: Path, other: Path) -> bool:
        opened.append(song.open("r+b"))
        return same_packets(one, other)

    outcome = write(song, "flac", PNG, same_sound=same_sound)
    assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.IN_USE)
    with opened[0] as downloader:
        downloader.seek(0, os.SEEK_END)
        downloader.write(b"the rest")
    assert song.read_bytes() == original + b"the rest"
    assert list(song.parent.iterdir()) == [song]


@LEASES
def test_concurrent_open_does_not_kill_the_process(song: Path) -> None:
    """The kernel breaks the lease with a signal, which must not end this process."""
    script = "import sys\nfor _ in range(3000):\n    open(sys.argv[1], 'r+b').close()\n"
    with subprocess.Popen([sys.executable, "-c", script, str(song)]) as process:
        while process.poll() is None:
            is_being_written(song)
    assert process.returncode == 0
    assert not is_being_written(song)


@pytest.mark.parametrize("suffix", [".part", ".aria2", ".crdownload", ".!qB"])
def test_incomplete_download_is_skipped(song: Path, original: bytes, suffix: str) -> None:
    mark = song.with_name(song.name + suffix)
    mark.touch()
    assert skip_reason(song, RewriteOptions()) is Reason.IN_USE
    outcome = write(song, "flac", PNG)
    assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.IN_USE)
    assert song.read_bytes() == original
    mark.unlink()
    assert write(song, "flac", PNG).status is Status.WRITTEN


def test_recently_modified_file_is_skipped(song: Path, original: bytes) -> None:
    options = RewriteOptions(min_age_seconds=60)
    assert skip_reason(song, options) is Reason.TOO_NEW
    outcome = write(song, "flac", PNG, options)
    assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.TOO_NEW)
    assert song.read_bytes() == original
    past = time.time() - 61
    os.utime(song, (past, past))
    assert write(song, "flac", PNG, options).status is Status.WRITTEN
