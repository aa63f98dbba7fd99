"""The one place where what the system says to a write becomes a WriteError."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from covergen.core.errors import WriteError
from covergen.core.reasons import Reason

__all__ = ["write_errors"]

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
