"""Stages in threads: order, what is fetched in advance, errors, and that no thread is left."""

import threading
import time
from collections.abc import Generator, Iterator

import pytest

from covergen.core.errors import Interrupted
from covergen.pipeline.ahead import Ahead, Relay, Stopped
from covergen.pipeline.events import Event, Painting


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert set(threading.enumerate()) <= before


class Numbers:
    """0, 1, 2, …; knows how many were fetched, and whether it was closed."""

    def __init__(self, count: int = 10) -> None:
        self.fetched = 0
        self.closed = False
        self._count = count

    def __call__(self) -> Generator[int]:
        try:
            for number in range(self._count):
                self.fetched += 1
                yield number
        finally:
            self.closed = True


def settle() -> None:
    """Give the other thread the time to fetch more than it should."""
    time.sleep(0.05)


def test_items_arrive_in_order() -> None:
    assert list(Ahead(Numbers()(), 3, name="test")) == [*range(10)]


def test_closing_does_not_wait_for_a_long_item_when_interrupted() -> None:
    long = threading.Event()

    def items() -> Generator[int]:
        long.wait()
        yield 0

    def interrupt() -> None:
        raise Interrupted

    ahead = Ahead(items(), 1, name="test")
    with pytest.raises(Interrupted):
        ahead.close(interrupt)
    long.set()


def test_only_so_many_items_are_fetched_before_they_are_taken() -> None:
    numbers = Numbers()
    ahead = Ahead(numbers(), 2, name="test")

    settle()
    assert numbers.fetched == 2
    next(ahead)
    settle()
    assert numbers.fetched == 3
    ahead.close()


def test_closing_closes_the_generator_and_ends_the_thread() -> None:
    numbers = Numbers()
    ahead = Ahead(numbers(), 2, name="test")
    next(ahead)

    ahead.close()

    assert numbers.closed


def test_an_error_comes_after_the_items_before_it_with_its_traceback() -> None:
    def failing() -> Generator[int]:
        yield 1
        raise ZeroDivisionError

    ahead = Ahead(failing(), 5, name="test")

    assert next(ahead) == 1
    with pytest.raises(ZeroDivisionError) as caught:
        next(ahead)
    assert "failing" in [entry.name for entry in caught.traceback]
    with pytest.raises(StopIteration):
        next(ahead)


def test_waiting_for_an_item_has_a_limit() -> None:
    go = threading.Event()

    def slow() -> Generator[int]:
        go.wait()
        yield 1

    ahead = Ahead(slow(), 1, name="test")

    assert not ahead.is_ready(0)
    assert not ahead.is_ready(0.01)
    go.set()
    assert ahead.is_ready(5)
    assert [*ahead] == [1]


def drain(ahead: Ahead[int], relay: Relay[int]) -> list[int]:
    """Take all items, as the thread that serves the relay."""
    taken = []
    try:
        while True:
            while not ahead.is_ready(0 if relay.turn() else 0.01):
                pass
            taken.append(next(ahead))
    except (StopIteration, Stopped):
        return taken


def test_items_and_events_of_a_relay_stay_in_one_thread() -> None:
    threads: set[int] = set()
    seen: list[Event] = []

    def source() -> Iterator[int]:
        for number in range(200):
            threads.add(threading.get_ident())
            yield number

    def emit(event: Event) -> None:
        threads.add(threading.get_ident())
        seen.append(event)

    relay = Relay(source(), emit, lambda: threads.add(threading.get_ident()))

    def stage() -> Generator[int]:
        for item in relay.items():
            relay.emit(Painting(albums=item))
            yield item

    assert drain(Ahead(stage(), 3, name="test"), relay) == [*range(200)]
    relay.finish()
    assert seen == [Painting(albums=number) for number in range(200)]
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("at", ["check", "source"])
def test_an_interruption_stops_the_stages_and_keeps_what_is_done(at: str) -> None:
    pressed = threading.Event()

    def interrupt() -> None:
        if pressed.is_set():
            raise Interrupted

    def source() -> Iterator[int]:
        for number in range(1_000_000):
            if at == "source":
                interrupt()
            yield number

    relay = Relay(source(), lambda _: None, interrupt if at == "check" else lambda: None)

    def stage() -> Generator[int]:
        for item in relay.items():
            relay.check_stopped()
            yield item
            if item == 5:
                pressed.set()

    taken = drain(Ahead(stage(), 3, name="test"), relay)

    assert taken == [*range(len(taken))]
    assert 5 < len(taken) < 1000
    with pytest.raises(Interrupted):
        relay.finish()
