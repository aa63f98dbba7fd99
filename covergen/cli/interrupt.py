"""Ctrl-C: once to stop after the album in hand, twice to stop at once."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from covergen.core.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["interruptible"]

_NOTICE = b"\nStopping after the album in hand. Ctrl-C again stops at once.\n"


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Give a checkpoint that raises Interrupted once the user has pressed Ctrl-C."""
    asked = False

    def on_interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _NOTICE)

    def checkpoint() -> None:
        if asked:
            raise Interrupted

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield checkpoint
    finally:
        signal.signal(signal.SIGINT, before)
