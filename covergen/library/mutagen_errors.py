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
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What a damaged file makes a parser raise; mutagen documents only the first."""


@contextmanager
def tag_errors(path: Path) -> Iterator[None]:
    """Turn everything that mutagen may raise while it reads the file `path` into TagError.

    Put nothing but mutagen's own work under it: mistakes of ours would be hidden.
    """
    try:
        yield
    except (*DAMAGE, OSError) as error:
        message = f"its tags cannot be read: {_words(error)}"
        raise TagError(path, message, hint="the file may be damaged") from error


def _words(error: BaseException) -> str:
    # mutagen wraps the system's error in its own, as the cause or as the only argument.
    for inner in (error, error.__cause__, *error.args):
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
    return str(error) or type(error).__name__
