"""FFmpeg's and the system's complaints about a music file, turned into DecodeError in one place."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from covergen.core.errors import DecodeError
from covergen.core.reasons import Reason

__all__ = ["decode_errors"]

_HINT = "try to play it: if no player can, restore it from a backup or encode it again"


@contextmanager
def decode_errors(path: Path) -> Iterator[None]:
    """Raise DecodeError for whatever PyAV or the file system raises within.

    PyAV silences FFmpeg's own log unless told otherwise, so that nothing is printed.
    """
    try:
        yield
    except av.FFmpegError as error:
        message = f"its audio cannot be decoded ({error.strerror or error})"
        raise DecodeError(path, message, hint=_HINT) from error
    except OSError as error:
        message = f"it cannot be read ({error.strerror or error})"
        raise DecodeError(path, message, reason=Reason.UNREADABLE) from error
