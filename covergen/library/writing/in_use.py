"""Whether another program is still writing a file, as far as the system can tell."""

import errno
import os
import signal
import sys
from pathlib import Path

if sys.platform == "linux":
    import fcntl

__all__ = ["is_being_written"]

# What download programs put behind a file's name, or keep beside it, until it is complete.
_UNFINISHED = (
    ".part", ".partial", ".filepart", ".crdownload", ".download", ".aria2", ".!qB", ".!ut", ".!bt",
)  # fmt: skip


def is_being_written(path: Path) -> bool:
    """Whether a download program marks the file as unfinished, or a process has it open to write.

    The latter is known on local file systems of Linux alone, to the file's owner and to root.
    Raises OSError where the file cannot be opened.
    """
    marked = (path.with_name(path.name + suffix) for suffix in _UNFINISHED)
    return any(map(os.path.lexists, marked)) or _is_open_for_writing(path)


def _is_open_for_writing(path: Path) -> bool:
    """The kernel refuses a read lease on a file that is open for writing (fcntl(2), "Leases")."""
    if sys.platform != "linux":
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        # Who opens the file while the lease is held makes the kernel send a signal, and the usual
        # one would end this process; SIGURG is ignored.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN  # otherwise nothing can be told
    finally:
        os.close(descriptor)
    return False
