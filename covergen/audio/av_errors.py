"""FFmpeg's and the system's complaints about a music file, turned into DecodeError in one place."""

from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOMEM
from pathlib import Path

import av

from covergen.core.errors import DecodeError
from covergen.core.reasons import Reason

__all__ = ["decode_errors"]


@contextmanager
def decode_errors(path: Path) -> Iterator[None]:
    """Raise DecodeError for whatever PyAV or the file system raises within.

    PyAV silences FFmpeg's own log unless told otherwise, so that nothing is printed.
    """
    try:
        yield
    except av.FFmpegError as error:
        said = error.strerror or error
        why = "it claims to need more memory than music does" if error.errno == ENOMEM else said
        message = f"its audio cannot be decoded ({why})"
        raise DecodeError(path, message, hint=DecodeError.DAMAGED) from error
    except (LookupError, OverflowError, ValueError) as error:
        # Sample formats that PyAV does not hand out are told in its words, but not streams that
        # begin in the midst of a file, and numbers that no clock can hold.
        why = str(error) if type(error) is ValueError else "it is not built as its format says"
        message = f"its audio cannot be decoded ({why})"
        raise DecodeError(path, message, hint=DecodeError.DAMAGED) from error
    except OSError as error:
        message = f"it cannot be read ({error.strerror or error})"
        raise DecodeError(path, message, reason=Reason.UNREADABLE) from error
