"""Ctrl-C handling: once to stop gracefully, twice to stop immediately."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from covergen.core.errors import Interrupted

PROMISE = "painted covers are still written"


@contextmanager
def interruptible(promise: str = PROMISE) -> Iterator[Callable[[], None]]:
    """Yield a checkpoint function that raises Interrupted once the user has pressed Ctrl-C.

    `promise` tells the user what happens before the command stops.
    """
    pressed = False
    notice = f"\nStopping: {promise}. Press Ctrl-C again to stop immediately.\n".encode()

    def on_interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        with suppress(OSError, ValueError):  # stderr may be closed
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, notice)

    def check_interrupted() -> None:
        if pressed:
            raise Interrupted

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield check_interrupted
    finally:
        signal.signal(signal.SIGINT, before)
