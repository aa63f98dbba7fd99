"""A command of covergen's in a process of its own, and what it took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Used", "covergen"]

_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a process took: seconds by the clock and of the processor, and its largest size."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def covergen(*arguments: object, home: Path) -> Used:
    """Run a command, as in a pipe; its cache, state and settings lie in `home`."""
    command = [sys.executable, "-m", "covergen", *map(str, arguments)]
    places = {f"XDG_{kind}_HOME": str(home / kind) for kind in ("CACHE", "STATE", "CONFIG", "DATA")}
    begun = time.perf_counter()
    with subprocess.Popen(
        command,
        env={**os.environ, **places},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        told = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, told.decode(errors="replace")
    return Used(
        seconds=time.perf_counter() - begun,
        cpu_seconds=used.ru_utime + used.ru_stime,
        peak_mb=used.ru_maxrss * _MAXRSS_BYTES / 1e6,
    )
