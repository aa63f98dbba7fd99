"""Ctrl-C: once asks, twice insists, and afterwards all is as it was."""

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from covergen.cli.interrupt import interruptible
from covergen.core.errors import Interrupted


def _earlier(_signal: int, _frame: FrameType | None) -> None:
    raise AssertionError("the handler of before was called")


@pytest.fixture(autouse=True)
def _earlier_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, _earlier)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_ctrl_c_stops_at_the_next_checkpoint(capfd: pytest.CaptureFixture[str]) -> None:
    with interruptible() as checkpoint:
        checkpoint()
        signal.raise_signal(signal.SIGINT)
        told = capfd.readouterr()
        for _ in range(2):
            with pytest.raises(Interrupted):
                checkpoint()

    assert told.out == ""
    assert "Ctrl-C again to stop immediately" in told.err


def test_the_second_ctrl_c_stops_at_once() -> None:
    with interruptible():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_one_run_does_not_stop_the_next() -> None:
    with interruptible():
        signal.raise_signal(signal.SIGINT)
    with interruptible() as checkpoint:
        checkpoint()


def test_the_handler_of_before_comes_back() -> None:
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not _earlier
    assert signal.getsignal(signal.SIGINT) is _earlier


@pytest.mark.parametrize("error", [Interrupted(), KeyboardInterrupt(), ValueError()])
def test_the_handler_of_before_comes_back_after_an_error(error: BaseException) -> None:
    with pytest.raises(type(error)), interruptible():
        raise error
    assert signal.getsignal(signal.SIGINT) is _earlier
