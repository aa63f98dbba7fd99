"""Ctrl-C: once stops at a checkpoint, twice immediately, and the handler is restored."""

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from covergen.cli.interrupt import interruptible
from covergen.core.errors import Interrupted


def _original(_signal: int, _frame: FrameType | None) -> None:
    raise AssertionError("the original handler was called")


@pytest.fixture(autouse=True)
def _original_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, _original)
    yield
    signal.signal(signal.SIGINT, before)


def test_first_ctrl_c_stops_at_the_next_checkpoint(capfd: pytest.CaptureFixture[str]) -> None:
    with interruptible() as checkpoint:
        checkpoint()
        signal.raise_signal(signal.SIGINT)
        captured = capfd.readouterr()
        for _ in range(2):
            with pytest.raises(Interrupted):
                checkpoint()

    assert captured.out == ""
    assert "Ctrl-C again to stop immediately" in captured.err


def test_second_ctrl_c_stops_immediately() -> None:
    with interruptible():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_interrupt_does_not_carry_over_to_the_next_run() -> None:
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not _original
        signal.raise_signal(signal.SIGINT)
    with interruptible() as checkpoint:
        checkpoint()
    assert signal.getsignal(signal.SIGINT) is _original


@pytest.mark.parametrize("error", [Interrupted(), KeyboardInterrupt(), ValueError()])
def test_handler_is_restored_after_an_error(error: BaseException) -> None:
    with pytest.raises(type(error)), interruptible():
        raise error
    assert signal.getsignal(signal.SIGINT) is _original
