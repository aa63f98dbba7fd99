"""A lock per folder: only one process at a time may write there."""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from filelock import FileLock, Timeout

from covergen.core.errors import BusyError
from covergen.core.paths import state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["library_lock"]

_TIMEOUT_SECONDS = 10  # of the lock "door", which is held for milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    """A process that holds a lock. `since`: seconds since 1970; `places`: real paths."""

    action: str
    process: int
    since: float
    places: tuple[str, ...]

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read another process's file. Raises OSError, ValueError, KeyError, TypeError."""
        values = json.loads(file.read_text())
        return cls(**values | {"places": tuple(map(str, values["places"]))})

    def write(self, file: Path) -> None:
        """Write the file for other processes. Raises OSError."""
        file.write_text(json.dumps(asdict(self)))

    def conflict_with(self, other: _Holder) -> str | None:
        """Return the place where both work, or where one works above the other; None if none."""
        for mine in self.places:
            for theirs in map(Path, other.places):
                if Path(mine).is_relative_to(theirs) or theirs.is_relative_to(mine):
                    return mine
        return None


@contextmanager
def library_lock(action: str, paths: tuple[Path, ...]) -> Iterator[None]:
    """Prevent other processes of this user from writing at or below `paths` meanwhile.

    The operating system releases the lock if the process dies. Raises BusyError if another process
    holds a lock on one of these paths, above or below it.
    """
    places = tuple(os.path.realpath(path) for path in paths)
    holder = _Holder(action=action, process=os.getpid(), since=time.time(), places=places)
    with ExitStack() as stack:
        with suppress(OSError):  # without a writable state folder, continue without locking
            _acquire(holder, stack)
        yield


def _acquire(holder: _Holder, stack: ExitStack) -> None:
    folder = state_folder() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    name = folder / f"{secrets.token_hex(8)}.lock"
    with FileLock(folder / "door", timeout=_TIMEOUT_SECONDS):
        for other in folder.glob("*.lock"):
            _refuse_if_busy(holder, other)
        stack.callback(_remove, name)
        lock = FileLock(name, timeout=0)
        lock.acquire()
        stack.callback(_release, lock)
        holder.write(name.with_suffix(".json"))


def _refuse_if_busy(holder: _Holder, lock: Path) -> None:
    """Raise BusyError if a process holds this lock on one of our places; delete a stale lock."""
    try:
        with FileLock(lock, timeout=0):
            _remove(lock)
    except Timeout:
        with suppress(OSError, KeyError, TypeError, ValueError):  # its file is unreadable
            other = _Holder.read(lock.with_suffix(".json"))
            if place := other.conflict_with(holder):
                raise _busy(other, place) from None


def _release(lock: FileLock) -> None:
    with suppress(OSError):  # the disk is offline or read-only by now
        lock.release()


def _remove(lock: Path) -> None:
    """Delete a lock's files. If that fails, the lock is not held and blocks nobody."""
    for file in (lock.with_suffix(".json"), lock):
        with suppress(OSError):
            file.unlink()


def _busy(other: _Holder, place: str) -> BusyError:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(other.since))
    return BusyError(
        f"Another covergen is writing in {place}: `{other.action}`, process {other.process},"
        f" since {since}.",
        hint="Wait until it is done, or stop it.",
    )
