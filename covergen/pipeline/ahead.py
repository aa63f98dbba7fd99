"""Run stages in threads, ahead of the stage that uses their results."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Semaphore, Thread
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from covergen.pipeline.events import CheckInterrupted, Emit

if TYPE_CHECKING:
    from covergen.pipeline import events


Item = TypeVar("Item")

_POLL_SECONDS = 0.05
_ITEMS_AHEAD = 64  # plans are small; enough for the largest batch


class Stopped(BaseException):
    """Ends a stage whose results are not wanted any more. Not an error, so nothing handles it."""


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None = None


class Ahead(Generic[Item]):
    """Fetches the items of a generator in a thread, at most `count` before they are taken.

    What the generator raises is raised in place of its next item. The generator is closed in its
    thread, at its end or after `close`, which waits for that.
    """

    def __init__(self, items: Generator[Item], count: int, *, name: str) -> None:
        self._room = Semaphore(count)
        self._fetched: SimpleQueue[Item | _End] = SimpleQueue()
        self._next: Item | _End | None = None
        self._closed = False
        self._thread = Thread(target=self._fetch, args=(items,), name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        """Wait for the next item and return it."""
        item, self._next = self._fetched.get() if self._next is None else self._next, None
        if isinstance(item, _End):
            self._next = _End()
            raise item.error or StopIteration
        self._room.release()
        return item

    def is_ready(self, seconds: float) -> bool:
        """Whether the next item, or the end, is there within so many seconds."""
        if self._next is None:
            try:
                self._next = self._fetched.get(timeout=seconds) if seconds else self._get_now()
            except Empty:
                return False
        return True

    def close(self, check_interrupted: CheckInterrupted = lambda: None) -> None:
        """End the thread after the item that it is fetching.

        If `check_interrupted` raises an exception, the thread is not waited for.
        """
        self._closed = True
        self._room.release()
        while self._thread.is_alive():
            self._thread.join(_POLL_SECONDS)
            check_interrupted()

    def _get_now(self) -> Item | _End:
        return self._fetched.get(block=False)

    def _fetch(self, items: Generator[Item]) -> None:
        end = _End()
        try:
            with closing(items):
                while self._is_wanted():
                    self._fetched.put(next(items))
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001 - raised by the thread that takes the items
            end = _End(error)
        self._fetched.put(end)

    def _is_wanted(self) -> bool:
        self._room.acquire()
        return not self._closed


class Relay(Generic[Item]):
    """Lends stages in other threads what only one thread may use: that which calls `turn`.

    That thread fetches the items, a few in advance, emits the events and calls
    `check_interrupted`. If any of these but an event raises an exception, the stages are stopped,
    and `finish` raises it.
    """

    def __init__(
        self, items: Iterator[Item], emit: Emit, check_interrupted: CheckInterrupted
    ) -> None:
        self._source = items
        self._emit = emit
        self._check_interrupted = check_interrupted
        self._items: SimpleQueue[Item | None] = SimpleQueue()
        self._events: SimpleQueue[events.Event] = SimpleQueue()
        self._is_over = False  # all items are fetched
        self._stopped = Event()
        self._error: Exception | None = None

    def items(self) -> Iterator[Item]:
        """Yield the items in another thread. Raises Stopped."""
        while True:
            item = self._items.get()
            self.check_stopped()
            if item is None:
                return
            yield item

    def emit(self, event: events.Event) -> None:
        """Have an event emitted by the next `turn`; from any thread."""
        self._events.put(event)

    def check_stopped(self) -> None:
        """Raise Stopped in another thread if its results are not wanted any more."""
        if self._stopped.is_set():
            raise Stopped

    def turn(self) -> bool:
        """Emit the events so far, and fetch an item if one is wanted; return whether it was."""
        self.flush()
        if self._stopped.is_set():
            return False
        try:
            self._check_interrupted()
            if self._is_over or self._items.qsize() >= _ITEMS_AHEAD:
                return False
            item = next(self._source, None)
        except Exception as error:  # noqa: BLE001 - raised by `finish`
            self._error = error
            self.stop()
            return False
        self._is_over = item is None
        self._items.put(item)
        return True

    def flush(self) -> None:
        """Emit the events so far."""
        while not self._events.empty():
            self._emit(self._events.get())

    def stop(self) -> None:
        """Raise Stopped in the other threads as soon as they check, or ask for an item."""
        self._stopped.set()
        self._items.put(None)

    def finish(self) -> None:
        """Emit the last events, and raise what stopped the stages, if anything did."""
        self.flush()
        if self._error:
            raise self._error
