"""A lock per folder: only one process at a time may write there.

Without it, a second run would take the writes that the first one has planned for those of a killed
process, and settle them in the journal before they are done.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from covergen.core.app_folders import state_folder
from covergen.core.errors import BusyError

if sys.platform != "win32":
    import fcntl


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    """A process that holds a lock. `since`: seconds since 1970; `places`: real paths."""

    action: str
    process: int
    since: float
    places: list[str]

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
    places = [os.path.realpath(path) for path in paths]
    holder = _Holder(action=action, process=os.getpid(), since=time.time(), places=places)
    with ExitStack() as stack:
        with suppress(OSError):  # without a writable state folder, continue without locking
            stack.enter_context(_held(holder))
        yield


@contextmanager
def _held(holder: _Holder) -> Iterator[None]:
    """Hold a lock file that says who holds it. Raises BusyError and OSError."""
    if sys.platform == "win32":
        yield
        return
    folder = state_folder() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{secrets.token_hex(8)}.lock"
    with (folder / "door").open("ab") as door, ExitStack() as stack:
        fcntl.flock(door, fcntl.LOCK_EX)  # for milliseconds
        for other in folder.glob("*.lock"):
            _refuse_if_busy(holder, other)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        stack.callback(_release, path, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, json.dumps(asdict(holder)).encode())
        held = stack.pop_all()
    with held:
        yield


def _refuse_if_busy(holder: _Holder, path: Path) -> None:
    """Raise BusyError if a process holds this lock on one of our places; delete a stale lock."""
    with suppress(FileNotFoundError), path.open("r+") as file:  # else it was released just now
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        except BlockingIOError:
            with suppress(TypeError, ValueError):  # not written by covergen
                other = _Holder(**json.load(file))
                if place := other.conflict_with(holder):
                    raise _busy(other, place) from None


def _release(path: Path, descriptor: int) -> None:
    with suppress(OSError):  # the disk is offline or read-only by now
        path.unlink()
    with suppress(OSError):
        os.close(descriptor)


def _busy(other: _Holder, place: str) -> BusyError:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(other.since))
    return BusyError(
        f"Another covergen is writing in {place}: `{other.action}`, process {other.process},"
        f" since {since}.",
        hint="Wait until it is done, or stop it.",
    )
