"""Swap two files atomically, so that neither is lost if another program replaced one of them.

Sources: renameat2(2), Linux 3.15; renamex_np(2), macOS 10.12.
"""

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100  # linux/fcntl.h
_RENAME_EXCHANGE = 1 << 1  # linux/fs.h
_RENAME_SWAP = 1 << 1  # macOS, sys/stdio.h
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def exchange(first: Path, second: Path) -> bool:
    """Swap the names of two files atomically, or change nothing.

    Returns False if the system or the file system does not support it. Raises OSError, also if one
    of the files does not exist.
    """
    if sys.platform == "win32":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(first), os.fsencode(second)
    if hasattr(libc, "renameat2"):
        failed = libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    elif hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(*names, _RENAME_SWAP)
    else:
        return False
    code = ctypes.get_errno()
    if failed and code not in _UNSUPPORTED:
        raise OSError(code, os.strerror(code), str(first), None, str(second))
    return not failed
