"""Check on a device what the test suite cannot: `python -m tests.device --device cuda --out DIR`.

Each check runs in a worker process with a time limit. A worker that hangs, crashes or fails a check
is replaced, so that every check is independent of the ones before it. Measurements are printed
and written as they are made: JSON Lines to results.jsonl and the printed text to summary.txt.
Needs torch, diffusers, transformers, peft and accelerate, but neither PyAV nor mutagen.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tests.device.checks import CHECKS
from tests.device.report import Report
from tests.device.setting import Setting
from tests.device.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.device.checks import Check
    from tests.device.worker import Message


def main() -> None:
    """Run the checks; exit with 1 if one failed."""
    options = _parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no worker is left behind
    size: Literal["tiny", "full"] = options.size or ("tiny" if options.device == "cpu" else "full")
    deadline = time.monotonic() + options.seconds
    with (
        tempfile.TemporaryDirectory(prefix="covergen-device-") as folder,
        Report(options.out) as report,
    ):
        setting = Setting(device=options.device, size=size, folder=Path(folder))
        report.line(f"device {setting.device}, size {setting.size}")
        run = _Run(setting, deadline)
        try:
            for check in CHECKS:
                if not options.checks or check.name in options.checks:
                    for message in run.messages(check):
                        report.add(check.name, message)
        finally:
            run.stop()
    sys.exit(1 if report.failed else 0)


class _Run:
    """Runs one check after the other, in the same worker as long as it works."""

    def __init__(self, setting: Setting, deadline: float) -> None:
        self._setting, self._deadline = setting, deadline
        self._worker: Worker | None = None

    def messages(self, check: Check) -> Iterator[Message]:
        """Yield the measurements of a check as they come, then its outcome."""
        start = time.monotonic()
        left = self._deadline - start
        if left < 1:
            yield {"outcome": "skipped", "problem": "no time is left", "seconds": 0.0}
            return
        self._worker = self._worker or Worker(self._setting)
        limit = check.seconds if self._setting.is_cuda else 4 * check.seconds
        for message in self._worker.run(check.name, seconds=min(limit, left)):
            if "outcome" not in message:
                yield message
                continue
            if message["outcome"] == "failed":
                self.stop()
            yield {**message, "seconds": round(time.monotonic() - start, 1)}

    def stop(self) -> None:
        """Kill the worker; the next check starts another."""
        if self._worker is not None:
            self._worker.kill()
        self._worker = None


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.device", description="Check covergen on a device."
    )
    names = [check.name for check in CHECKS]
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"among {', '.join(names)}")
    parser.add_argument("--device", default="cuda", help="cpu, cuda or cuda:N")
    parser.add_argument(
        "--size", choices=("tiny", "full"), help="size of the models; default: tiny on the CPU"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--seconds", type=float, default=230, metavar="N", help="time for all checks"
    )
    options = parser.parse_args()
    if unknown := set(options.checks).difference(names):
        parser.error(f"unknown check {unknown.pop()}; choose from {', '.join(names)}")
    return options


if __name__ == "__main__":
    main()
