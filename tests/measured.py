"""A command in a process of its own, and what it took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Used", "at_home", "covergen"]

_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
# A small process in between: the peak of a new process begins with that of its parent.
_MEASURED = """
import json, os, sys, time
begun = time.perf_counter()
_, status, used = os.wait4(os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ), 0)
taken = time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss
with open(sys.argv[1], "w") as file:
    json.dump(taken, file)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a command took: seconds by the clock and of the processor, also its own processes'.

    `peak_bytes`: the most that one of them held, be it the command or one that it started.
    """

    seconds: float
    processor_seconds: float
    peak_bytes: int


def at_home(home: Path) -> dict[str, str]:
    """The environment of commands whose cache, state and settings lie in `home`."""
    kinds = ("CACHE", "STATE", "CONFIG", "DATA")
    return {**os.environ, **{f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in kinds}}


def covergen(
    *arguments: object, environment: Mapping[str, str], output: IO[bytes] | None = None
) -> Used:
    """Run a command of covergen's, as in a pipe; it must end well."""
    command = [sys.executable, "-m", "covergen", *map(str, arguments)]
    with tempfile.NamedTemporaryFile() as usage:
        ended = subprocess.run(
            [sys.executable, "-c", _MEASURED, usage.name, *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr.decode(errors="replace")
        seconds, processor_seconds, peak = json.load(usage)
    return Used(
        seconds=seconds, processor_seconds=processor_seconds, peak_bytes=peak * _MAXRSS_BYTES
    )
