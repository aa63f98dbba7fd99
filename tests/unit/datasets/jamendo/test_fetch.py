"""Downloading with retries, a rate limit and size limits, from a server on the loopback."""

import io
import itertools
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from covergen.core.errors import Interrupted
from covergen.datasets.jamendo import fetch
from covergen.datasets.jamendo.fetch import Fetcher, FetchError, PassingError, Patience
from tests.jamendo_server import Answer, FakeJamendo, running

FAST = Patience(rate=1000, pause_seconds=0.02)
PATH = "/thing"


class Download:
    """A server with one file, and a fetcher for it."""

    def __init__(self, server: FakeJamendo, patience: Patience = FAST) -> None:
        self.server = server
        self.waits: list[tuple[float, str]] = []
        self.fetcher = Fetcher(patience, lambda: None, lambda *wait: self.waits.append(wait))

    def fetch(self, *answers: Answer, limit_bytes: int = 1000, attempts: int = 4) -> bytes:
        self.server.faults[PATH] = list(answers)
        file = io.BytesIO(b"what was there before, which is rather long")
        url = self.server.address + PATH
        self.fetcher.patiently(
            lambda: self.fetcher.fetch(url, file, limit_bytes=limit_bytes), attempts=attempts
        )
        return file.getvalue()


@pytest.fixture
def download() -> Iterator[Download]:
    with running(FakeJamendo()) as server:
        download = Download(server)
        with download.fetcher:
            yield download


GOOD = Answer(body=b"good")
TRANSIENT = {
    "500": Answer(status=500),
    "429": Answer(status=429),
    "408": Answer(status=408),
    "truncated": Answer(body=b"goo", promised=4),
    "no body": Answer(promised=4),
}


@pytest.mark.parametrize("failure", TRANSIENT.values(), ids=TRANSIENT)
def test_transient_failure_is_retried(download: Download, failure: Answer) -> None:
    assert download.fetch(failure, failure, GOOD) == b"good"
    assert download.server.asked[PATH] == 3
    assert len(download.waits) == 2


def test_retries_are_limited(download: Download) -> None:
    with pytest.raises(PassingError, match="500 Internal Server Error"):
        download.fetch(*[Answer(status=500)] * 9, attempts=3)
    assert download.server.asked[PATH] == 3


@pytest.mark.parametrize("status", [400, 403, 404])
def test_permanent_failure_is_not_retried(download: Download, status: int) -> None:
    with pytest.raises(FetchError, match=str(status)) as raised:
        download.fetch(Answer(status=status), GOOD)
    assert not isinstance(raised.value, PassingError)
    assert download.server.asked[PATH] == 1


def retry_date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [("0", 0, 0), ("1", 1, 1), (retry_date(-60), 0, 0), ("soon", 0.01, 0.02), ("", 0.01, 0.02)],
    ids=["none", "seconds", "past date", "word", "empty"],
)
def test_retry_after_is_respected(download: Download, header: str, low: float, high: float) -> None:
    download.fetch(Answer(status=429, headers={"Retry-After": header}), GOOD)
    ((seconds, why),) = download.waits
    assert low <= seconds <= high
    assert "429" in why


@pytest.mark.parametrize(
    "header", ["86400", "9" * 400, retry_date(86_400)], ids=["seconds", "number", "date"]
)
def test_too_long_a_delay_is_an_error(download: Download, header: str) -> None:
    with pytest.raises(PassingError):
        download.fetch(Answer(status=503, headers={"Retry-After": header}), GOOD)
    assert not download.waits


@pytest.mark.parametrize("promised", [-1, None])
def test_too_large_a_file_is_aborted(download: Download, promised: int | None) -> None:
    assert len(download.fetch(Answer(body=b"x" * 1000, promised=promised))) == 1000
    huge = Answer(body=b"x" * 30_000_000, promised=promised)
    start = time.monotonic()
    with pytest.raises(FetchError, match="larger than 0"):
        download.fetch(huge)
    assert time.monotonic() - start < 2


def redirect(to: str) -> Answer:
    return Answer(status=302, headers={"Location": to})


def test_redirects_are_limited_and_only_to_the_web(download: Download) -> None:
    assert download.fetch(redirect(f"ADDRESS{PATH}"), GOOD) == b"good"
    with pytest.raises(FetchError, match="redirected too many times"):
        download.fetch(*[redirect(f"ADDRESS{PATH}")] * 20)
    for elsewhere in ("file:///etc/passwd", "gopher://127.0.0.1/", "http://[", "http://a b:c/"):
        with pytest.raises(FetchError):
            download.fetch(redirect(elsewhere), attempts=1)


def test_unreachable_server_is_an_error() -> None:
    with running(FakeJamendo()) as server:
        pass
    download = Download(server)
    with download.fetcher, pytest.raises(PassingError, match="cannot be reached"):
        download.fetch(attempts=2)


def test_request_rate_is_limited() -> None:
    with running(FakeJamendo()) as server:
        download = Download(server, Patience(rate=20))
        with download.fetcher:
            start = time.monotonic()
            for _ in range(4):
                download.fetch(GOOD)
            assert time.monotonic() - start >= 3 / 20


def test_wait_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        if next(calls) > 3:
            raise Interrupted

    calls = itertools.count()
    fetcher = Fetcher(Patience(rate=1000, pause_seconds=600), stop, lambda *_: None)

    def fail() -> None:
        raise PassingError("no")

    monkeypatch.setattr(fetch, "_POLL_SECONDS", 0.01)
    start = time.monotonic()
    with fetcher, pytest.raises(Interrupted):
        fetcher.patiently(fail, attempts=3)
    assert time.monotonic() - start < 5


def test_client_id_is_neither_logged_nor_shown(
    download: Download, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    parameters = {"client_id": "s3cret"}
    url = download.server.address + PATH
    download.server.faults[PATH] = [GOOD, Answer(status=404), Answer(body=b"x", promised=9)]
    download.fetcher.fetch(url, io.BytesIO(), limit_bytes=9, parameters=parameters)
    messages = []
    for _ in range(2):
        with pytest.raises(FetchError) as raised:
            download.fetcher.fetch(url, io.BytesIO(), limit_bytes=9, parameters=parameters)
        messages.append(str(raised.value))
    assert download.server.asked[PATH] == 3
    assert "s3cret" not in caplog.text + "".join(messages)
