"""The one place where what mutagen raises becomes a TagError."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mutagen import MutagenError

from covergen.core.errors import TagError

__all__ = ["DAMAGE", "tag_errors"]

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
"""What a damaged file may make any parser raise."""

# What it makes mutagen raise besides, though it documents only MutagenError.
_STRAYS = (
    AssertionError,
    AttributeError,
    NotImplementedError,
    OSError,
    TypeError,
)


@contextmanager
def tag_errors(path: Path) -> Iterator[None]:
    """Turn everything that mutagen may raise while it reads the file `path` into TagError.

    Put nothing but mutagen's own work under it: mistakes of ours would be hidden.
    """
    try:
        yield
    except (*DAMAGE, *_STRAYS) as error:
        if system := _system_error(error):
            raise TagError(path, f"it cannot be read: {system.strerror}") from error
        message = f"its tags cannot be read: {error or type(error).__name__}"
        raise TagError(path, message, hint="the file may be damaged") from error


def _system_error(error: BaseException) -> OSError | None:
    # mutagen wraps it in its own error, as the cause or as the only argument.
    found = (error, error.__cause__, *error.args)
    return next((e for e in found if isinstance(e, OSError) and e.strerror), None)
