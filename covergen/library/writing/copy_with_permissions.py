"""Copy files with their metadata."""

import ctypes
import errno
import os
import shutil
import stat
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

from covergen.core.errors import WriteError
from covergen.core.reasons import Reason

_FICLONE = 0x40049409  # linux/fs.h
_COPYFILE_ACL, _COPYFILE_XATTR = 1 << 0, 1 << 2  # macOS, copyfile.h

# Attributes set by the file's owner, and access control lists. The system manages the others.
_OWNED_XATTRS = ("user.", "system.")


def copy_bytes(source: Path, target: Path) -> None:
    """Copy a file's bytes into the existing file `target`.

    Makes a copy-on-write clone if the file system supports it. Raises OSError.
    """
    if not _cloned(source, target):
        shutil.copyfile(source, target)


def _cloned(source: Path, target: Path) -> bool:
    if sys.platform != "linux":
        return False
    import fcntl

    with source.open("rb") as original, target.open("r+b") as copy, suppress(OSError):
        fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
        return True
    return False


def copy_metadata(
    source: Path, target: Path, status: os.stat_result, *, mtime_ns: int | None
) -> None:
    """Copy owner, mode and extended attributes to `target`, and set `mtime_ns` if given.

    `status` is that of `source`. Raises OSError, and WriteError if the owner cannot be kept.
    """
    if hasattr(os, "chown"):
        _copy_owner(target, status)
    target.chmod(stat.S_IMODE(status.st_mode))
    # After the mode, since access control lists are attributes that refine it.
    _copy_xattrs(source, target)
    if mtime_ns is not None:
        os.utime(target, ns=(status.st_atime_ns, mtime_ns))


def _copy_owner(target: Path, status: os.stat_result) -> None:
    own = target.stat()
    if (own.st_uid, own.st_gid) == (status.st_uid, status.st_gid):
        return
    try:
        os.chown(target, status.st_uid, status.st_gid)
    except PermissionError as error:
        raise WriteError(
            target,
            Reason.READ_ONLY,
            "it belongs to another user or group, which rewriting would change",
            hint="run covergen as its owner",
        ) from error


def _copy_xattrs(source: Path, target: Path) -> None:
    if sys.platform == "darwin":
        _copy_xattrs_of_macos(source, target)
    elif sys.platform == "linux":
        wanted, found = _xattrs(source), _xattrs(target)
        for name in found.keys() - wanted.keys():
            if name.startswith(_OWNED_XATTRS):  # an access control list inherited from the folder
                os.removexattr(target, name)
        for name, value in wanted.items():
            if found.get(name) != value:
                with nullcontext() if name.startswith(_OWNED_XATTRS) else suppress(OSError):
                    os.setxattr(target, name, value)


def _xattrs(path: Path) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(path, name) for name in os.listxattr(path)}
    except OSError as error:
        if error.errno == errno.ENOTSUP:  # not supported by the file system
            return {}
        raise


def _copy_xattrs_of_macos(source: Path, target: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(source), os.fsencode(target)
    if libc.copyfile(*paths, None, _COPYFILE_ACL | _COPYFILE_XATTR) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
