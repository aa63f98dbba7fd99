"""The one place where an OSError while writing becomes a WriteError."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from covergen.core.errors import WriteError
from covergen.core.reasons import Reason

_REASONS = {
    errno.ENOSPC: Reason.NO_SPACE,
    errno.EDQUOT: Reason.NO_SPACE,
    errno.EFBIG: Reason.NO_SPACE,
    errno.EROFS: Reason.READ_ONLY,
    errno.EACCES: Reason.READ_ONLY,
    errno.EPERM: Reason.READ_ONLY,
    errno.ENOENT: Reason.CHANGED,
}


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn OSError into a WriteError of the file `path`, with the system's own words."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, Reason.IO_ERROR)
        raise WriteError(path, reason, error.strerror or str(error)) from error


def check_writable(path: Path, name: str) -> None:
    """Raise PermissionError if the file or folder, called `name`, may not be written to.

    The superuser may write anywhere, but whoever marked a thing read-only meant it.
    """
    if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, f"{name} is read-only")
