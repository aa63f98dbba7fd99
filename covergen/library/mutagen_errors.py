"""The one place where what mutagen raises becomes a TagError."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mutagen import MutagenError

from covergen.core.errors import TagError

__all__ = ["DAMAGE", "tag_errors", "words_of"]

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

# What covergen's own parsers raise with words for people.
_SPOKEN = (EOFError, OverflowError, ValueError)

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
        words = words_of(error)
        message = f"its tags cannot be read{words and ': '}{words}"
        raise TagError(path, message, hint="the file may be damaged") from error


def words_of(error: BaseException) -> str:
    """What an error says to people: nothing where it is Python's own, of a parser that stumbled."""
    if isinstance(error, MutagenError):
        # mutagen makes errors of its own out of others' words, too.
        inner = (*error.args, error.__cause__, error.__context__)
        others = [e for e in inner if isinstance(e, Exception) and not words_of(e)]
        return "" if str(error) in map(str, others) else str(error).strip()
    return str(error).strip() if type(error) in _SPOKEN else ""


def _system_error(error: BaseException) -> OSError | None:
    # mutagen wraps it in its own error, as the cause or as the only argument.
    found = (error, error.__cause__, *error.args)
    return next((e for e in found if isinstance(e, OSError) and e.strerror), None)
