"""Translation of mutagen's exceptions into TagError."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mutagen import MutagenError

from covergen.core.errors import TagError

DAMAGE = (
    MutagenError,
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    ValueError,
    struct.error,
    zlib.error,
)
"""Exceptions that a parser may raise on a damaged file."""

# Raised by covergen's own parsers, with messages meant for users.
_OWN_ERRORS = (EOFError, OverflowError, ValueError)

# mutagen documents only MutagenError, but raises these too.
_UNDOCUMENTED_ERRORS = (
    AssertionError,
    AttributeError,
    NotImplementedError,
    OSError,
    TypeError,
)


@contextmanager
def tag_errors(path: Path) -> Iterator[None]:
    """Turn everything that mutagen may raise while reading `path` into TagError.

    Use it only around calls into mutagen, or it hides bugs of our own.
    """
    try:
        yield
    except (*DAMAGE, *_UNDOCUMENTED_ERRORS) as error:
        if system := _system_error(error):
            raise TagError(path, f"cannot read the file: {system.strerror}") from error
        text = message_of(error)
        message = f"cannot read the tags{text and ': '}{text}"
        raise TagError(path, message, hint="the file may be damaged") from error


def message_of(error: BaseException) -> str:
    """Return the error's message, or "" if it is one of Python's own, which does not help users."""
    if isinstance(error, MutagenError):
        # mutagen also copies the messages of other exceptions into its own.
        inner = (*error.args, error.__cause__, error.__context__)
        others = [e for e in inner if isinstance(e, Exception) and not message_of(e)]
        return "" if str(error) in map(str, others) else str(error).strip()
    return str(error).strip() if type(error) in _OWN_ERRORS else ""


def _system_error(error: BaseException) -> OSError | None:
    # mutagen wraps it in an error of its own, as the cause or as the only argument.
    found = (error, error.__cause__, *error.args)
    return next((e for e in found if isinstance(e, OSError) and e.strerror), None)
