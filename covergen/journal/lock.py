"""Of the processes that write, one at a time at one place."""

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

_PATIENCE_SECONDS = 10  # for the door, which is held for milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    """A process at work. `since`: seconds since 1970; `places` have no links in them."""

    action: str
    process: int
    since: float
    places: tuple[str, ...]

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read what another process wrote. Raises OSError, ValueError, KeyError, TypeError."""
        values = json.loads(file.read_text())
        return cls(**values | {"places": tuple(map(str, values["places"]))})

    def write(self, file: Path) -> None:
        """Tell other processes. Raises OSError."""
        file.write_text(json.dumps(asdict(self)))

    def met_by(self, other: _Holder) -> str | None:
        """The place at which both work, one of them perhaps in a folder above the other's."""
        for mine in self.places:
            for theirs in map(Path, other.places):
                if Path(mine).is_relative_to(theirs) or theirs.is_relative_to(mine):
                    return mine
        return None


@contextmanager
def library_lock(action: str, paths: tuple[Path, ...]) -> Iterator[None]:
    """Keep other processes of this user from writing to what is at or below `paths` meanwhile.

    The system itself lets go when the process ends, however it does. Raises BusyError where
    another process works at one of these places, above or below it.
    """
    places = tuple(os.path.realpath(path) for path in paths)
    holder = _Holder(action=action, process=os.getpid(), since=time.time(), places=places)
    with ExitStack() as held:
        with suppress(OSError):  # with no folder to keep locks in, work goes on without
            _enter(holder, held)
        yield


def _enter(holder: _Holder, held: ExitStack) -> None:
    folder = state_folder() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    name = folder / f"{secrets.token_hex(8)}.lock"
    with FileLock(folder / "door", timeout=_PATIENCE_SECONDS):
        for other in folder.glob("*.lock"):
            _refuse_if_met(holder, other)
        held.callback(_remove, name)
        lock = FileLock(name, timeout=0)
        lock.acquire()
        held.callback(_let_go, lock)
        holder.write(name.with_suffix(".json"))


def _refuse_if_met(holder: _Holder, lock: Path) -> None:
    """Raise BusyError if the lock is held at one of our places; clear away what nobody holds."""
    try:
        with FileLock(lock, timeout=0):
            _remove(lock)
    except Timeout:
        with suppress(OSError, KeyError, TypeError, ValueError):  # it could not tell of itself
            other = _Holder.read(lock.with_suffix(".json"))
            if place := other.met_by(holder):
                raise _busy(other, place) from None


def _let_go(lock: FileLock) -> None:
    with suppress(OSError):  # the disk is gone, or will not be written to any more
        lock.release()


def _remove(lock: Path) -> None:
    """Clear a lock away. One that cannot be deleted is held by nobody, and keeps nobody out."""
    for file in (lock.with_suffix(".json"), lock):
        with suppress(OSError):
            file.unlink()


def _busy(other: _Holder, place: str) -> BusyError:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(other.since))
    return BusyError(
        f"Another covergen writes in {place}: `{other.action}`, process {other.process},"
        f" since {since}.",
        hint="Wait until it is done, or stop it.",
    )
