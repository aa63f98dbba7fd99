"""Ctrl-C: once to stop when what is done is kept, twice to stop at once."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from covergen.core.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["interruptible"]

_KEPT = "what is painted is still written"


@contextmanager
def interruptible(kept: str = _KEPT) -> Iterator[Callable[[], None]]:
    """Give a checkpoint that raises Interrupted once the user has pressed Ctrl-C.

    `kept` tells the user what is done before that.
    """
    asked = False
    notice = f"\nStopping; {kept}. Ctrl-C again stops at once.\n".encode()

    def on_interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        with suppress(OSError, ValueError):  # nobody there to read it
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, notice)

    def checkpoint() -> None:
        if asked:
            raise Interrupted

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield checkpoint
    finally:
        signal.signal(signal.SIGINT, before)
