"""Detect files that another program is still writing."""

import errno
import os
import signal
import sys
from pathlib import Path

if sys.platform == "linux":
    import fcntl


# Suffixes of the marker files that download programs keep next to an incomplete file.
_UNFINISHED = (
    ".part", ".partial", ".filepart", ".crdownload", ".download", ".aria2", ".!qB", ".!ut", ".!bt",
)  # fmt: skip


def is_being_written(path: Path) -> bool:
    """Whether a file is marked as an incomplete download, or a process has it open for writing.

    The latter works only on Linux, on local file systems, for the file's owner and for root.
    Raises OSError if the file cannot be opened.
    """
    marked = (path.with_name(path.name + suffix) for suffix in _UNFINISHED)
    return any(map(os.path.lexists, marked)) or _is_open_for_writing(path)


def _is_open_for_writing(path: Path) -> bool:
    """The kernel denies a read lease on a file that is open for writing (fcntl(2), "Leases")."""
    if sys.platform != "linux":
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        # If another process opens the file during the lease, the kernel sends a signal. The default
        # one would end this process; SIGURG is ignored.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN  # other errors tell nothing
    finally:
        os.close(descriptor)
    return False
