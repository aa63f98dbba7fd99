"""Files from a web server, politely: a rate, patience, and limits to what it may send."""

from __future__ import annotations

import logging
import random
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, BinaryIO, Self, TypeVar

import httpx2

from covergen import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

__all__ = ["FetchError", "Fetcher", "PassingError", "Patience"]

_TIMEOUT_SECONDS = 30.0  # without a byte
_LONGEST_TRANSFER_SECONDS = 900.0
_MOST_REDIRECTS = 5
_PASSING = (408, 425, 429)  # and all from 500
_NAP_SECONDS = 0.2  # how long Ctrl-C may have to wait

T = TypeVar("T")


class FetchError(Exception):
    """What a server did not give, and why: a sentence for people, which holds no address."""


class PassingError(FetchError):
    """A failure that may pass. The server asked for a pause of `pause_seconds`, None if not."""

    def __init__(self, message: str, *, pause_seconds: float | None = None) -> None:
        super().__init__(message)
        self.pause_seconds = pause_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How politely and how long a server is asked. `rate` is the most requests a second.

    The pause after the first failure is `pause_seconds` at most, and doubles with each that
    follows. A server that asks for more than `longest_pause_seconds` is not waited for.
    """

    rate: float = 2.0
    pause_seconds: float = 2.0
    longest_pause_seconds: float = 300.0


class Fetcher:
    """Asks a server one thing at a time. To be closed, as a context manager."""

    def __init__(
        self,
        patience: Patience,
        checkpoint: Callable[[], None],
        on_wait: Callable[[float, str], None],
    ) -> None:
        """`checkpoint` may end any wait and any transfer by raising.

        `on_wait` is told of each pause after a failure: how many seconds, and why.
        """
        self._patience = patience
        self._checkpoint = checkpoint
        self._on_wait = on_wait
        self._next_request = time.monotonic()
        self._client = httpx2.Client(
            follow_redirects=True,
            max_redirects=_MOST_REDIRECTS,
            timeout=_TIMEOUT_SECONDS,
            headers={"User-Agent": f"covergen/{__version__}", "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def patiently(self, action: Callable[[], T], *, attempts: int) -> T:
        """Try until it succeeds, with pauses that grow: exponential back-off with jitter.

        Raises FetchError as the last attempt did.
        """
        for failures in range(attempts - 1):
            try:
                return action()
            except PassingError as error:
                seconds = self._pause_after(error, failures)
                self._on_wait(seconds, str(error))
                self._sleep(seconds)
        return action()

    def _pause_after(self, error: PassingError, failures: int) -> float:
        longest = self._patience.longest_pause_seconds
        if error.pause_seconds is None:
            jitter = random.uniform(0.5, 1)  # noqa: S311 - no secret
            return min(longest, self._patience.pause_seconds * jitter * 2.0**failures)
        if error.pause_seconds > longest:
            raise error
        return error.pause_seconds

    def fetch(
        self,
        url: str,
        into: BinaryIO,
        *,
        limit_bytes: int,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        """Ask once, and write what comes into an open file, whatever it held before.

        Raises FetchError, and OSError where the file cannot be written.
        """
        self._sleep(self._next_request - time.monotonic())
        self._next_request = time.monotonic() + 1 / self._patience.rate
        deadline = time.monotonic() + _LONGEST_TRANSFER_SECONDS
        into.seek(0)
        into.truncate()
        with (
            _http_errors(),
            _no_log(),
            self._client.stream("GET", url, params=parameters) as answer,
        ):
            _check(answer)
            for block in answer.iter_bytes():
                self._checkpoint()
                if into.tell() + len(block) > limit_bytes:
                    raise FetchError(f"it is larger than {limit_bytes / 1e6:g} MB")
                if time.monotonic() > deadline:
                    raise PassingError("it came too slowly")
                into.write(block)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._checkpoint()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _NAP_SECONDS))
            self._checkpoint()


def _check(answer: httpx2.Response) -> None:
    if answer.is_success:
        return
    message = f"the server answered {answer.status_code} {answer.reason_phrase}".rstrip()
    if answer.status_code in _PASSING or answer.status_code >= 500:
        raise PassingError(message, pause_seconds=_asked_pause(answer.headers.get("Retry-After")))
    raise FetchError(message)


def _asked_pause(retry_after: str | None) -> float | None:
    """The pause that a Retry-After header asks for, in seconds or until a date (RFC 9110)."""
    if retry_after is None:
        return None
    if retry_after.isdecimal():
        return float(retry_after[:9])
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


@contextmanager
def _http_errors() -> Iterator[None]:
    """Turn what httpx2 raises into FetchError. Its own words may hold the address: none is kept."""
    try:
        yield
    except httpx2.TimeoutException as error:
        raise PassingError("the server did not answer in time") from error
    except httpx2.UnsupportedProtocol as error:
        raise FetchError("its address is no web address") from error
    except httpx2.RemoteProtocolError as error:
        raise PassingError("the transfer broke off") from error
    except httpx2.TransportError as error:
        raise PassingError(f"the server cannot be reached ({type(error).__name__})") from error
    except httpx2.TooManyRedirects as error:
        raise FetchError("the server sent us from one address to the next") from error
    except httpx2.HTTPError as error:
        raise FetchError(f"the answer cannot be read ({type(error).__name__})") from error
    except httpx2.InvalidURL as error:
        raise FetchError("its address is no web address") from error


@contextmanager
def _no_log() -> Iterator[None]:
    """Keep httpx2 from logging addresses: they may hold a key."""
    logger = logging.getLogger("httpx2")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
