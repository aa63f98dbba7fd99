"""Atomic writes of covergen's own files."""

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically: sync a temporary file to disk, then rename it to `path`.

    Follows a symbolic link. Raises OSError, which leaves any existing file as it was.
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
        with suppress(OSError):  # already renamed unless an error occurred
            temporary.unlink()
