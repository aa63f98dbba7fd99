"""A fork server that runs covergen commands without import time.

`python -m tests.faults.server [MODULE…]`:

For each pickled Request on stdin, it forks a child that runs covergen's real command line, and
reports on stdout: PID with the process ID, STOPPED, and ENDED with the exit code or the negative
signal number.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.shim import arm

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.shim import Fault

__all__ = ["Request", "main"]

_COMMANDS = ("apply", "info", "runs", "strip", "tag", "undo")
_IMPORTED = (
    *(f"covergen.cli.commands.{name}" for name in _COMMANDS),
    *(f"covergen.jobs.{name}" for name in _COMMANDS if name != "runs"),
    "covergen.cli.main",
    "PIL.PngImagePlugin",
    "tqdm",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command, the fault to inject, and the folder for its stdout, stderr and calls."""

    arguments: tuple[str, ...]
    fault: Fault | None
    output: Path


def main() -> None:
    """Serve until stdin ends. Preloads the modules given as arguments too."""
    for name in (*_IMPORTED, *sys.argv[1:]):
        importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # handled by the client
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        process = os.fork()
        if not process:
            _become_covergen(request)
        _report("PID", process)
        while not _has_ended(process):
            _report("STOPPED")


def _has_ended(process: int) -> bool:
    """Wait until the process stops or ends, and report its end."""
    _, status = os.waitpid(process, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return False
    _report("ENDED", os.waitstatus_to_exitcode(status))
    return True


def _report(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - the client reads it


def _become_covergen(request: Request) -> None:
    """Run the command and exit with its exit code."""
    from covergen.__main__ import main as covergen

    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, name in enumerate((os.devnull, "stdout", "stderr")):
        opened = os.open(request.output / name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, stream)
    sys.argv = ["covergen", *request.arguments]
    if request.fault:
        calls = os.open(request.output / "calls", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        arm(request.fault, calls)
    covergen()
    sys.exit()


if __name__ == "__main__":
    main()
