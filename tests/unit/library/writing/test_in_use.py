"""A file that another program is still writing is left alone, and loses nothing."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from covergen.core.reasons import Reason
from covergen.core.types import Status
from covergen.library.writing.in_use import is_being_written
from covergen.library.writing.rewrite import RewriteOptions, obstacle
from tests.unit.library.written import PNG, same_packets, track, write

LEASES = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has read leases")
_HOLD = (
    "import sys; f = open(sys.argv[1], sys.argv[2]); print('open', flush=True); sys.stdin.read()"
)


def hindrance(song: Path, options: RewriteOptions) -> Reason | None:
    """Why a plan says that a file is not written."""
    outcome = obstacle(track(song, "flac"), options)
    return outcome.reason if outcome else None


@contextmanager
def held_open(path: Path, mode: str) -> Iterator[None]:
    """Another process has the file open in this mode."""
    command = [sys.executable, "-c", _HOLD, str(path), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield
        process.communicate()


@LEASES
@pytest.mark.parametrize(("mode", "written"), [("r+b", True), ("ab", True), ("rb", False)])
def test_open_for_writing_and_open_for_reading(song: Path, mode: str, *, written: bool) -> None:
    with held_open(song, mode):
        assert is_being_written(song) is written
    assert not is_being_written(song)


@LEASES
def test_an_open_file_is_skipped_and_stays_the_writers(song: Path, original: bytes) -> None:
    with song.open("ab") as downloader:
        assert hindrance(song, RewriteOptions()) is Reason.IN_USE
        outcome = write(song, "flac", PNG)
        assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.IN_USE)
        downloader.write(b"the rest")
    assert song.read_bytes() == original + b"the rest"
    assert list(song.parent.iterdir()) == [song]


@LEASES
def test_a_writer_who_comes_while_the_copy_is_edited_keeps_the_file(
    song: Path, original: bytes
) -> None:
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
def test_who_opens_the_file_while_it_is_asked_about_does_no_harm(song: Path) -> None:
    """The kernel then breaks the lease with a signal, which must not end this process."""
    script = "import sys\nfor _ in range(3000):\n    open(sys.argv[1], 'r+b').close()\n"
    with subprocess.Popen([sys.executable, "-c", script, str(song)]) as process:
        while process.poll() is None:
            is_being_written(song)
    assert process.returncode == 0
    assert not is_being_written(song)


@pytest.mark.parametrize("suffix", [".part", ".aria2", ".crdownload", ".!qB"])
def test_a_file_that_a_download_program_marks_is_skipped(
    song: Path, original: bytes, suffix: str
) -> None:
    mark = song.with_name(song.name + suffix)
    mark.touch()
    assert hindrance(song, RewriteOptions()) is Reason.IN_USE
    outcome = write(song, "flac", PNG)
    assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.IN_USE)
    assert song.read_bytes() == original
    mark.unlink()
    assert write(song, "flac", PNG).status is Status.WRITTEN


def test_a_file_that_is_too_new_is_skipped(song: Path, original: bytes) -> None:
    options = RewriteOptions(min_age_seconds=60)
    assert hindrance(song, options) is Reason.TOO_NEW
    outcome = write(song, "flac", PNG, options)
    assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.TOO_NEW)
    assert song.read_bytes() == original
    past = time.time() - 61
    os.utime(song, (past, past))
    assert write(song, "flac", PNG, options).status is Status.WRITTEN
