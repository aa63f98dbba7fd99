"""Asking a server politely: pauses, patience and limits, against a server on the loopback."""

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


class Asking:
    """A server with one thing, and one who fetches it."""

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
def asking() -> Iterator[Asking]:
    with running(FakeJamendo()) as server:
        asking = Asking(server)
        with asking.fetcher:
            yield asking


GOOD = Answer(body=b"good")
BAD_ANSWERS = {
    "500": Answer(status=500),
    "503": Answer(status=503),
    "429": Answer(status=429),
    "408": Answer(status=408),
    "truncated": Answer(body=b"goo", promised=4),
    "nothing of it": Answer(promised=4),
}


@pytest.mark.parametrize("bad", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_what_may_pass_is_tried_again(asking: Asking, bad: Answer) -> None:
    assert asking.fetch(bad, bad, GOOD) == b"good"
    assert asking.server.asked[PATH] == 3
    assert len(asking.waits) == 2


def test_patience_ends(asking: Asking) -> None:
    with pytest.raises(PassingError, match="500 Internal Server Error"):
        asking.fetch(*[Answer(status=500)] * 9, attempts=3)
    assert asking.server.asked[PATH] == 3


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_what_will_not_pass_is_not_tried_again(asking: Asking, status: int) -> None:
    with pytest.raises(FetchError, match=str(status)) as raised:
        asking.fetch(Answer(status=status), GOOD)
    assert not isinstance(raised.value, PassingError)
    assert asking.server.asked[PATH] == 1


def test_pauses_double_and_are_not_all_alike(asking: Asking) -> None:
    for _ in range(3):
        asking.fetch(*[Answer(status=500)] * 3, GOOD)
    pauses = [seconds for seconds, _ in asking.waits]
    for first, second, third in zip(pauses[::3], pauses[1::3], pauses[2::3], strict=True):
        assert 0.01 <= first <= 0.02 <= 2 * second <= 0.08
        assert 0.04 <= third <= 0.08
    assert len(set(pauses)) > 3


def retry_date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("told", "low", "high"),
    [("0", 0, 0), ("1", 1, 1), (retry_date(-60), 0, 0), ("soon", 0.01, 0.02), ("", 0.01, 0.02)],
)
def test_the_server_says_how_long_to_wait(
    asking: Asking, told: str, low: float, high: float
) -> None:
    asking.fetch(Answer(status=429, headers={"Retry-After": told}), GOOD)
    ((seconds, why),) = asking.waits
    assert low <= seconds <= high
    assert "429" in why


@pytest.mark.parametrize("told", ["86400", "9" * 400, retry_date(86_400)])
def test_a_pause_too_long_is_no_pause(asking: Asking, told: str) -> None:
    with pytest.raises(PassingError):
        asking.fetch(Answer(status=503, headers={"Retry-After": told}), GOOD)
    assert not asking.waits


@pytest.mark.parametrize("promised", [-1, None])
def test_what_is_too_large_is_not_read(asking: Asking, promised: int | None) -> None:
    assert len(asking.fetch(Answer(body=b"x" * 1000, promised=promised))) == 1000
    huge = Answer(body=b"x" * 30_000_000, promised=promised)
    began = time.monotonic()
    with pytest.raises(FetchError, match="larger than 0"):
        asking.fetch(huge)
    assert time.monotonic() - began < 2


def test_what_comes_drop_by_drop_is_not_waited_for(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_LONGEST_TRANSFER_SECONDS", -1.0)
    with pytest.raises(PassingError, match="too slowly"):
        asking.fetch(GOOD, attempts=1)


def redirect(to: str) -> Answer:
    return Answer(status=302, headers={"Location": to})


def test_redirects_are_followed_for_a_while_and_only_on_the_web(asking: Asking) -> None:
    assert asking.fetch(redirect(f"ADDRESS{PATH}"), GOOD) == b"good"
    with pytest.raises(FetchError, match="from one address to the next"):
        asking.fetch(*[redirect(f"ADDRESS{PATH}")] * 20)
    for elsewhere in ("file:///etc/passwd", "gopher://127.0.0.1/", "http://[", "http://a b:c/"):
        with pytest.raises(FetchError):
            asking.fetch(redirect(elsewhere), attempts=1)


@pytest.mark.parametrize(
    "url", ["", "nothing", "http://", "file:///etc/passwd", "http://[::", "x:\0"]
)
def test_addresses_that_are_none_are_told(asking: Asking, url: str) -> None:
    with pytest.raises(FetchError, match="no web address"):
        asking.fetcher.fetch(url, io.BytesIO(), limit_bytes=10)


def test_a_server_that_is_not_there_is_told() -> None:
    with running(FakeJamendo()) as server:
        pass
    asking = Asking(server)
    with asking.fetcher, pytest.raises(PassingError, match="cannot be reached"):
        asking.fetch(attempts=2)


def test_requests_keep_their_distance() -> None:
    with running(FakeJamendo()) as server:
        asking = Asking(server, Patience(rate=20))
        with asking.fetcher:
            began = time.monotonic()
            for _ in range(5):
                asking.fetch(GOOD)
            assert time.monotonic() - began >= 4 / 20


def test_a_wait_can_be_ended() -> None:
    def stop() -> None:
        if next(calls) > 3:
            raise Interrupted

    calls = itertools.count()
    fetcher = Fetcher(Patience(rate=1000, pause_seconds=600), stop, lambda *_: None)

    def fail() -> None:
        raise PassingError("no")

    began = time.monotonic()
    with fetcher, pytest.raises(Interrupted):
        fetcher.patiently(fail, attempts=3)
    assert time.monotonic() - began < 5


def test_no_address_is_logged_or_told(asking: Asking, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    parameters = {"client_id": "s3cret"}
    url = asking.server.address + PATH
    asking.server.faults[PATH] = [GOOD, Answer(status=404), Answer(body=b"x", promised=9)]
    asking.fetcher.fetch(url, io.BytesIO(), limit_bytes=9, parameters=parameters)
    told = []
    for _ in range(2):
        with pytest.raises(FetchError) as raised:
            asking.fetcher.fetch(url, io.BytesIO(), limit_bytes=9, parameters=parameters)
        told.append(str(raised.value))
    assert asking.server.asked[PATH] == 3
    assert "s3cret" not in caplog.text + "".join(told)
