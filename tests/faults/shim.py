"""Inject a fault at a system call of another process."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

__all__ = [
    "ALL",
    "GROWING",
    "MOVING",
    "MUTATING",
    "Fault",
    "Mode",
    "arm",
    "build_shim",
    "can_build",
]

MOVING = frozenset({"write", "sendfile", "copy_file_range"})
"""Kinds of calls that write bytes, possibly only some of them."""

GROWING = MOVING | {
    "open-create", "clone", "truncate", "fsync", "link", "rename", "mkdir", "setxattr",
}  # fmt: skip
"""Kinds of calls that can fail on a full disk."""

MUTATING = GROWING | {"open-write", "unlink", "chmod", "chown", "utime", "flock", "close"}
"""Kinds of calls that change files, or can."""

ALL = MUTATING | {"open-read", "read", "stat", "access", "opendir", "getxattr", "statvfs"}

_SOURCE = Path(__file__).with_name("shim.c")


class Mode(IntEnum):
    """The effect of a fault, with the numbers of shim.c.

    PASS: none. KILL: SIGKILL before the call. FAIL: return an error without doing anything. STOP:
    SIGSTOP before the call. TEAR: SIGKILL after half of the bytes. SHORT: write half of the bytes
    and return their number. LATE: do the work, but return an error.
    """

    PASS = 0
    KILL = 1
    FAIL = 2
    STOP = 3
    TEAR = 4
    SHORT = 5
    LATE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault at call number `at`, counting from 1 the calls of `kinds` at or below `place`.

    `code` is the errno of FAIL and LATE. `onward`: all later calls fail too.
    """

    place: Path
    mode: Mode = Mode.PASS
    at: int = 0
    kinds: frozenset[str] = ALL
    code: int = 0
    onward: bool = False


def can_build() -> bool:
    """Whether the shim can be built on this machine."""
    return sys.platform == "linux" and shutil.which("gcc") is not None


def build_shim(folder: Path) -> Path:
    """Compile the shim. Returns the library to preload."""
    library = folder / "shim.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return library


def arm(fault: Fault, calls: int) -> None:
    """Start counting the calls of this process, which must have the shim preloaded.

    Each call is written to the descriptor `calls` as a line: kind, tab, path.
    """
    ctypes.CDLL(None).arm(
        bytes(fault.place),
        f" {' '.join(sorted(fault.kinds))} ".encode(),
        ctypes.c_long(fault.at),
        int(fault.mode),
        fault.code,
        int(fault.onward),
        calls,
    )
