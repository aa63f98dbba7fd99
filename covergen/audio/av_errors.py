"""Translate the errors of FFmpeg and the system about a music file to DecodeError, in one place."""

from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOMEM
from pathlib import Path

import av

from covergen.core.errors import DecodeError
from covergen.core.reasons import Reason


@contextmanager
def decode_errors(path: Path) -> Iterator[None]:
    """Raise DecodeError for whatever PyAV or the file system raises in the body.

    Nothing is printed: PyAV disables FFmpeg's log by default.
    """
    try:
        yield
    except av.FFmpegError as error:
        text = error.strerror or error
        why = "it claims to need more memory than music does" if error.errno == ENOMEM else text
        message = f"its audio cannot be decoded ({why})"
        raise DecodeError(path, message, hint=DecodeError.DAMAGED) from error
    except (LookupError, OverflowError, ValueError) as error:
        # PyAV's own text is useful for unsupported sample formats (ValueError), but not for streams
        # that start mid-file (LookupError) or times out of range (OverflowError).
        why = str(error) if type(error) is ValueError else "it violates its format"
        message = f"its audio cannot be decoded ({why})"
        raise DecodeError(path, message, hint=DecodeError.DAMAGED) from error
    except OSError as error:
        message = f"it cannot be read ({error.strerror or error})"
        raise DecodeError(path, message, reason=Reason.UNREADABLE) from error
