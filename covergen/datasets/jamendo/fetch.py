"""Download files from a web server with a rate limit, retries and size limits."""

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import BinaryIO, Self, TypeVar

import httpx2

from covergen import __version__

_TIMEOUT_SECONDS = 30.0  # without receiving a byte
_MAX_TRANSFER_SECONDS = 900.0
_MAX_REDIRECTS = 5
_TRANSIENT_STATUS_CODES = (408, 425, 429)  # and all 5xx
_POLL_SECONDS = 0.2  # the longest delay of Ctrl-C

T = TypeVar("T")


class FetchError(Exception):
    """A download failed. The message is for the user and contains no URL."""


class PassingError(FetchError):
    """A transient failure. `pause_seconds` is the delay requested by the server, if any."""

    def __init__(self, message: str, *, pause_seconds: float | None = None) -> None:
        super().__init__(message)
        self.pause_seconds = pause_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """The rate limit and the delays between retries. `rate` is in requests per second.

    The delay after the first failure is up to `pause_seconds`, and doubles with each further one.
    If a server requests more than `longest_pause_seconds`, the download fails.
    """

    rate: float = 2.0
    pause_seconds: float = 2.0
    longest_pause_seconds: float = 300.0


class Fetcher:
    """Downloads one file at a time. Use as a context manager."""

    def __init__(
        self,
        patience: Patience,
        check_interrupted: Callable[[], None],
        on_wait: Callable[[float, str], None],
    ) -> None:
        """Create a fetcher.

        `check_interrupted` is called often, and aborts a wait or transfer by raising. `on_wait` is
        called before each delay after a failure, with its seconds and the reason.
        """
        self._patience = patience
        self._checkpoint = check_interrupted
        self._on_wait = on_wait
        self._next_request = time.monotonic()
        self._client = httpx2.Client(
            follow_redirects=True,
            max_redirects=_MAX_REDIRECTS,
            timeout=_TIMEOUT_SECONDS,
            headers={"User-Agent": f"covergen/{__version__}", "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def patiently(self, action: Callable[[], T], *, attempts: int) -> T:
        """Retry `action` after transient failures, with exponential backoff and jitter.

        Raises the FetchError of the last attempt.
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
            jitter = random.uniform(0.5, 1)  # noqa: S311 - not used for security
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
        """Download a URL once, replacing the contents of the open file `into`.

        Raises FetchError, and OSError if the file cannot be written.
        """
        self._sleep(self._next_request - time.monotonic())
        self._next_request = time.monotonic() + 1 / self._patience.rate
        deadline = time.monotonic() + _MAX_TRANSFER_SECONDS
        into.seek(0)
        into.truncate()
        with (
            _http_errors(),
            _logging_disabled(),
            self._client.stream("GET", url, params=parameters) as response,
        ):
            _check_status(response)
            for block in response.iter_bytes():
                self._checkpoint()
                if into.tell() + len(block) > limit_bytes:
                    raise FetchError(f"it is larger than {limit_bytes / 1e6:g} MB")
                if time.monotonic() > deadline:
                    raise PassingError("the transfer was too slow")
                into.write(block)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._checkpoint()
        while (remaining := end - time.monotonic()) > 0:
            time.sleep(min(remaining, _POLL_SECONDS))
            self._checkpoint()


def _check_status(response: httpx2.Response) -> None:
    if response.is_success:
        return
    message = f"the server responded {response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code in _TRANSIENT_STATUS_CODES or response.status_code >= 500:
        raise PassingError(message, pause_seconds=_retry_after(response.headers.get("Retry-After")))
    raise FetchError(message)


def _retry_after(retry_after: str | None) -> float | None:
    """Parse a Retry-After header, in seconds or as a date (RFC 9110), into seconds."""
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
    """Translate exceptions of httpx2 into FetchError, without their messages, which have URLs."""
    try:
        yield
    except httpx2.TimeoutException as error:
        raise PassingError("the server did not respond in time") from error
    except httpx2.UnsupportedProtocol as error:
        raise FetchError("its URL is not valid") from error
    except httpx2.RemoteProtocolError as error:
        raise PassingError("the connection was lost") from error
    except httpx2.TransportError as error:
        raise PassingError(f"the server cannot be reached ({type(error).__name__})") from error
    except httpx2.TooManyRedirects as error:
        raise FetchError("the server redirected too many times") from error
    except httpx2.HTTPError as error:
        raise FetchError(f"the response cannot be read ({type(error).__name__})") from error
    except httpx2.InvalidURL as error:
        raise FetchError("its URL is not valid") from error


@contextmanager
def _logging_disabled() -> Iterator[None]:
    """Keep httpx2 from logging URLs, which may contain the client ID."""
    logger = logging.getLogger("httpx2")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
