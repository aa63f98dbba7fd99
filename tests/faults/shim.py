"""A fault at one system call of another process: what it is, and how it is brought about."""

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
"""Kinds of calls that move bytes, and may move only some of them."""

GROWING = MOVING | {
    "open-create", "clone", "truncate", "fsync", "link", "rename", "mkdir", "setxattr",
}  # fmt: skip
"""Kinds of calls that may find a disk full."""

MUTATING = GROWING | {"open-write", "unlink", "chmod", "chown", "utime", "flock", "close"}
"""Kinds of calls that change files, or could."""

ALL = MUTATING | {"open-read", "read", "stat", "access", "opendir", "getxattr", "statvfs"}

_SOURCE = Path(__file__).with_name("shim.c")


class Mode(IntEnum):
    """What happens at a call, in the words and numbers of shim.c.

    PASS: nothing. KILL: SIGKILL before it. FAIL: it returns an error and does nothing. STOP:
    SIGSTOP before it. TEAR: SIGKILL when half of its bytes are written. SHORT: it moves half of its
    bytes, and says so. LATE: it does its work and returns an error all the same.
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
    """What goes wrong at the call `at`, counted from 1 over those of `kinds` at or below `place`.

    `code` is the errno of FAIL and LATE. `onward`: all later calls go wrong as well.
    """

    place: Path
    mode: Mode = Mode.PASS
    at: int = 0
    kinds: frozenset[str] = ALL
    code: int = 0
    onward: bool = False


def can_build() -> bool:
    """Whether this machine has what the shim needs."""
    return sys.platform == "linux" and shutil.which("gcc") is not None


def build_shim(folder: Path) -> Path:
    """Compile the shim; returns what is to be preloaded."""
    library = folder / "shim.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return library


def arm(fault: Fault, calls: int) -> None:
    """Have this process, into which the shim is preloaded, count its calls from now on.

    Each is written to the descriptor `calls` as a line: its kind, a tab, the path.
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
