"""The results: printed, and written to a folder as they come."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tests.device.worker import Message

__all__ = ["Report"]


class Report:
    """Prints results, and writes summary.txt and results.jsonl to `folder` unless it is None."""

    def __init__(self, folder: Path | None) -> None:
        self.failed = False
        self._texts: list[TextIO] = [sys.stdout]
        self._json: TextIO | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._texts.append((folder / "summary.txt").open("w", encoding="utf-8"))
            self._json = (folder / "results.jsonl").open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in (*self._texts[1:], *filter(None, [self._json])):
            file.close()

    def add(self, check: str, message: Message) -> None:
        """Add a measurement, or the outcome of a check."""
        if self._json is not None:
            self._json.write(json.dumps({"check": check, **message}) + "\n")
            self._json.flush()
        if "outcome" not in message:
            goal = f"   ({message['goal']})" if "goal" in message else ""
            self.line(f"    {message['name']:<50}{message['value']}{goal}")
            return
        self.failed |= message["outcome"] == "failed"
        self.line(f"{check:<24}{message['outcome']:<10}{message['seconds']:6.1f} s")
        for text in message["problem"].splitlines():
            self.line(f"    {text}")

    def line(self, text: str) -> None:
        """Print and write a line without buffering."""
        for file in self._texts:
            file.write(text + "\n")
            file.flush()
