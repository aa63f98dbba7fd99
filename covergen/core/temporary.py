"""Hidden temporary files beside the file they will replace."""

import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["remove_stale", "temporary"]

# Short and the same for all: a file's own name may leave no room for more.
_NAME = re.compile(r"\.covergen-[0-9a-f]{8}\.tmp")


@contextmanager
def temporary(folder: Path, mode: int = 0o600) -> Iterator[Path]:
    """A new, empty file in `folder`, which is gone at the end unless it was moved away.

    It is locked meanwhile, so that `remove_stale` lets it be. Raises OSError.
    """
    path = folder / f".covergen-{secrets.token_hex(4)}.tmp"
    with _locked(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)):
        try:
            yield path
        finally:
            with suppress(OSError):  # what was done stays done; a stale one goes later
                path.unlink()


def remove_stale(folder: Path) -> None:
    """Delete the temporaries that a killed run left in `folder`.

    Nothing but regular files of exactly our names, and none that a living run works on. What
    cannot be deleted stays.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_unlocked(Path(entry.path))


def _remove_unlocked(path: Path) -> None:
    """Raises OSError where somebody holds the lock."""
    if sys.platform == "win32":  # where nobody can delete an open file
        path.unlink()
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(descriptor)


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    if sys.platform == "win32":
        os.close(descriptor)  # an open file could not be replaced
        yield
        return
    try:
        with suppress(OSError):  # some network file systems know no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        with suppress(OSError):  # nothing was written through it
            os.close(descriptor)
