"""Write files atomically: at any time, a file is either as it was or complete.

A hidden temporary file in the same folder is written, synced to disk and renamed. It is locked
meanwhile, so that `remove_stale` can tell the files of a killed process from those in use.
"""

import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl


# Short and independent of the target's name, which may leave no room for a prefix.
_NAME = re.compile(r"\.covergen-[0-9a-f]{8}\.tmp")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically, like `replacing`."""
    with replacing(path) as new:
        new.write_bytes(data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an empty temporary file, which replaces `path` on exit.

    It is synced to disk, and gets the mode of an existing file. Follows a symbolic link. Raises
    OSError. On any error, an existing file stays as it was.
    """
    path = Path(os.path.realpath(path))
    with temporary(path.parent, mode=0o666) as new:
        yield new
        sync_file(new)
        with suppress(OSError):  # a new file, or a file system without modes
            new.chmod(stat.S_IMODE(path.stat().st_mode))
        new.replace(path)


@contextmanager
def temporary(folder: Path, mode: int = 0o600) -> Iterator[Path]:
    """Yield a new, empty file in `folder`. On exit it is deleted unless it has been renamed.

    Raises OSError.
    """
    path = folder / f".covergen-{secrets.token_hex(4)}.tmp"
    with _locked(path, os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)):
        try:
            yield path
        finally:
            with suppress(OSError):  # `remove_stale` deletes it later
                path.unlink()


def remove_stale(folder: Path) -> None:
    """Delete the temporary files in `folder` that a killed process left behind.

    Only regular files with exactly our names are deleted, and none that a process has locked. Files
    that cannot be deleted are left.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_unlocked(Path(entry.path))


def sync_file(path: Path) -> None:
    """Flush a file's bytes and metadata to disk. Raises OSError."""
    _sync(path, os.O_RDWR)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, if the system supports it."""
    with suppress(OSError):  # it only matters after a power failure
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_unlocked(path: Path) -> None:
    """Raises OSError if a process has locked the file."""
    if sys.platform == "win32":  # open files cannot be deleted there
        path.unlink()
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path, descriptor: int) -> Iterator[None]:
    if sys.platform == "win32":
        os.close(descriptor)  # an open file cannot be replaced
        yield
        return
    try:
        with suppress(OSError):  # some network file systems do not support locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _unlock_if_mandatory(path, descriptor)
        yield
    finally:
        with suppress(OSError):  # nothing was written through it
            os.close(descriptor)


def _unlock_if_mandatory(path: Path, descriptor: int) -> None:
    """Unlock a new file if it can only be written through `descriptor` while it is locked.

    That is so on SMB shares. Source: flock(2), "CIFS details".
    """
    try:
        path.write_bytes(b"\0")
        os.truncate(path, 0)
    except OSError:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
