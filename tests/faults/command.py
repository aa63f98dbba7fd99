"""Run covergen's command line in separate processes, optionally with a fault."""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.faults.server import Request
from tests.faults.shim import build_shim

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.shim import Fault

__all__ = ["Call", "Commands", "Ended", "Running"]

_PATIENCE_SECONDS = 300
_ROOT = Path(__file__).parents[2]

Call = tuple[str, str]
"""The kind of a system call, and its path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A finished command. `code` is its exit code, or the negative signal number."""

    code: int
    stdout: str
    stderr: str
    calls: list[Call]

    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects that it printed with --json."""
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]


class Commands:
    """Runs commands, one at a time, in the given environment.

    Their process has the modules that write covers, and `modules`, already imported.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], *modules: str) -> None:
        self._output = folder / "output"
        self._output.mkdir(exist_ok=True)
        one_thread = {
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }  # fork requires a single thread
        preloaded = {"LD_PRELOAD": str(build_shim(folder)), **one_thread}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server", *modules],
            cwd=_ROOT,
            env={**os.environ, **environment, **preloaded},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.close()
        self._server.wait(_PATIENCE_SECONDS)
        self._server.stdout.close()

    def run(self, *arguments: object, fault: Fault | None = None) -> Ended:
        """Run `covergen ARGUMENTS` to its end."""
        ended = self.start(*arguments, fault=fault).wait()
        assert ended, "the command stopped"
        return ended

    def start(self, *arguments: object, fault: Fault | None = None) -> Running:
        """Start `covergen ARGUMENTS`."""
        for name in ("stdout", "stderr", "calls"):
            (self._output / name).write_bytes(b"")
        request = Request(arguments=tuple(map(str, arguments)), fault=fault, output=self._output)
        assert self._server.stdin
        pickle.dump(request, self._server.stdin)
        self._server.stdin.flush()
        return Running(self, int(self.answer("PID")[0]))

    def answer(self, *expected: str) -> list[str]:
        """Read the server's next line, which must start with one of the expected words."""
        assert self._server.stdout
        if not select.select([self._server.stdout], [], [], _PATIENCE_SECONDS)[0]:
            self._server.kill()
            raise TimeoutError(f"covergen did not end within {_PATIENCE_SECONDS} seconds")
        word, *rest = self._server.stdout.readline().decode().split() or ["nothing"]
        assert word in expected, f"unexpected answer: {word}"
        return [word, *rest] if len(expected) > 1 else rest

    def ended(self, code: int) -> Ended:
        """The result of a command that has just ended."""
        texts = {
            name: (self._output / name).read_text(errors="surrogateescape")
            for name in ("stdout", "stderr", "calls")
        }
        parts = (line.partition("\t") for line in texts["calls"].splitlines())
        calls = [(kind, path) for kind, _, path in parts]
        return Ended(code=code, stdout=texts["stdout"], stderr=texts["stderr"], calls=calls)


@dataclass(frozen=True, slots=True)
class Running:
    """A started command."""

    commands: Commands
    process: int

    def wait(self) -> Ended | None:
        """Wait until it ends. Returns None if its fault stopped it."""
        word, *code = self.commands.answer("STOPPED", "ENDED")
        return self.commands.ended(int(code[0])) if word == "ENDED" else None

    def resume(self) -> Ended | None:
        """Continue after a stop, and wait."""
        os.kill(self.process, signal.SIGCONT)
        return self.wait()
