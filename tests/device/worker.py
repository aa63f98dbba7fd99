"""The worker process that runs checks, and its watchdog."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.device.setting import Record, Skip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from tests.device.setting import Setting

__all__ = ["Message", "Worker"]

Message: TypeAlias = dict[str, Any]
"""A measurement (name, value, goal), or at the end of a check its outcome and problem."""


class Worker:
    """A process that runs checks by name."""

    def __init__(self, setting: Setting) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, setting), daemon=True)
        self._process.start()
        other.close()

    def run(self, check: str, *, seconds: float) -> Iterator[Message]:
        """Run a check; yield its measurements, and its outcome: ok, failed or skipped."""
        deadline = time.monotonic() + seconds
        self._connection.send(check)
        while True:
            try:
                if not self._connection.poll(max(0.0, deadline - time.monotonic())):
                    problem = f"it did not finish in {seconds:.0f} seconds"
                    yield {"outcome": "failed", "problem": problem}
                    return
                message = self._connection.recv()
            except (EOFError, OSError):
                self._process.join(5)
                problem = f"the process ended with exit code {self._process.exitcode}"
                yield {"outcome": "failed", "problem": problem}
                return
            yield message
            if "outcome" in message:
                return

    def kill(self) -> None:
        """End the process and its own subprocesses."""
        with suppress(OSError):
            os.killpg(self._process.pid or 0, signal.SIGKILL)
        self._process.kill()
        self._process.join()


def _serve(connection: Connection, setting: Setting) -> None:
    """Run the requested checks until the connection closes."""
    os.setpgid(0, 0)  # torch.compile starts processes, which must end with this one
    gc.set_threshold(50_000)  # as in covergen.__main__, to import faster
    from tests.device.checks import CHECKS

    run = {check.name: check.run for check in CHECKS}
    with suppress(EOFError, BrokenPipeError):  # the end of the main process
        while True:
            name = connection.recv()
            record = Record(connection.send, [])
            try:
                run[name](setting, record)
                outcome = "failed" if record.missed else "ok"
                problem = "; ".join(record.missed)
            except Skip as skip:
                outcome, problem = "skipped", str(skip)
            except BrokenPipeError:
                raise
            except Exception:  # noqa: BLE001 - reported
                outcome, problem = "failed", traceback.format_exc()
            connection.send({"outcome": outcome, "problem": problem})
