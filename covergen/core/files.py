"""Files of covergen's own, written whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file through to the disk and only then put it in its place, over an older one.

    A link is followed. Raises OSError, and then what was at `path` is there still.
    """
    path = path.resolve()
    temporary = path.with_name(f".covergen-{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):  # usually it has gone to its place
            temporary.unlink()
