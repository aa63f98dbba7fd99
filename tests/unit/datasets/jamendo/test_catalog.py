"""Searching Jamendo's catalog: the requests, and the meaning of the responses."""

from collections.abc import Iterator
from datetime import date
from functools import partial

import pytest

from covergen.core.errors import DownloadError, UsageError
from covergen.datasets.jamendo.catalog import Account, pages
from covergen.datasets.jamendo.fetch import Fetcher, Patience
from covergen.datasets.jamendo.query import Query, searches
from tests.jamendo_server import (
    CLIENT_ID,
    OVER_QUOTA,
    TOO_FAST,
    Answer,
    FakeJamendo,
    Song,
    envelope,
    running,
)


@pytest.fixture
def jamendo() -> Iterator[FakeJamendo]:
    with running(FakeJamendo()) as jamendo:
        yield jamendo


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    patience = Patience(rate=1000, pause_seconds=0.001)
    with Fetcher(patience, lambda: None, lambda *_: None) as fetcher:
        yield fetcher


song = partial(Song, cover=b"", sound=b"")


def ids(
    jamendo: FakeJamendo, fetcher: Fetcher, query: Query, client_id: str = CLIENT_ID
) -> list[int]:
    account = Account(client_id=client_id, base_url=jamendo.base_url)
    return [
        int(track.id)
        for search in searches(query)
        for page in pages(search, account, fetcher)
        for track in page.tracks
    ]


def test_each_album_is_returned_once_followed_by_singles(
    jamendo: FakeJamendo, fetcher: Fetcher
) -> None:
    jamendo.songs = [song(id=n, album_id=n // 3 + 1 if n < 9 else 0) for n in range(12)]
    assert ids(jamendo, fetcher, Query()) == [0, 3, 6, 9, 10, 11]


def test_long_catalog_is_read_in_pages(jamendo: FakeJamendo, fetcher: Fetcher) -> None:
    jamendo.songs = [song(id=n, album_id=n + 1) for n in range(450)]
    assert ids(jamendo, fetcher, Query()) == list(range(450))
    offsets = [query["offset"] for query in jamendo.queries if query["type"] == "albumtrack"]
    assert offsets == ["0", "200", "400", "600", "600"]


def test_all_criteria_are_sent(jamendo: FakeJamendo, fetcher: Fetcher) -> None:
    jamendo.songs = [song(id=1, album_id=1, genres=("rock", "jazz"), released="2012-05-05")]
    query = Query(
        licenses=("by-sa",),
        tags=("rock", "jazz"),
        any_tags=("jazz", "folk"),
        since=date(2012, 1, 1),
        until=date(2012, 12, 31),
        order="popularity_total",
        image_size=300,
    )
    assert ids(jamendo, fetcher, query) == [1]
    sent = jamendo.queries[0]
    assert sent["include"].split() == ["licenses", "musicinfo"]
    assert sent["tags"].split() == ["rock", "jazz"]
    assert sent["fuzzytags"].split() == ["jazz", "folk"]
    assert sent["datebetween"] == "2012-01-01_2012-12-31"
    assert sent["order"] == "popularity_total"
    assert (sent["ccnd"], sent["ccsa"], sent["ccnc"]) == ("false", "true", "false")
    assert (sent["imagesize"], sent["groupby"], sent["limit"]) == ("300", "album_id", "200")
    since, _ = searches(Query(since=date(2015, 1, 1)))
    assert since["datebetween"] == "2015-01-01_2100-01-01", "Jamendo requires both dates"


EMPTY = Answer(body=envelope())
TRANSIENT = {
    "over quota": [OVER_QUOTA] * 3,
    "too fast": [TOO_FAST] * 3,
    "unidentified": [Answer(body=envelope(code=1, message="An exception"))],
    "empty": [EMPTY],
    "429": [Answer(status=429, headers={"Retry-After": "0"})],
    "truncated": [Answer(body=envelope()[:-9], promised=len(envelope()))],
    "web page": [Answer(body=b"<html>Maintenance</html>")],
    "no envelope": [Answer(body=b"[1, 2]"), Answer(body=b'{"headers": 5}'), Answer(body=b"null")],
    "nested": [Answer(body=b"[" * 100_000)],
    "mixed": [OVER_QUOTA, EMPTY, TOO_FAST, Answer(status=502), Answer(body=b"")],
}


@pytest.mark.parametrize("faults", TRANSIENT.values(), ids=TRANSIENT)
def test_transient_failure_is_retried(
    jamendo: FakeJamendo, fetcher: Fetcher, faults: list[Answer]
) -> None:
    jamendo.songs = [song(id=n, album_id=n + 1) for n in range(3)]
    jamendo.faults["api"] = list(faults)
    assert ids(jamendo, fetcher, Query()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (OVER_QUOTA, "You have exceeded your monthly quota"),
        (TOO_FAST, "error 6: Rate Limit Exceeded"),
        (Answer(body=envelope(code=11, message="Suspended")), "error 11: Suspended"),
        (Answer(body=b"<html>"), "not one of Jamendo's API"),
        (Answer(status=403), "403"),
        (Answer(status=503, headers={"Retry-After": "99999"}), "503"),
    ],
)
def test_persistent_failure_is_reported(
    jamendo: FakeJamendo, fetcher: Fetcher, answer: Answer, message: str
) -> None:
    jamendo.always["api"] = answer
    with pytest.raises(DownloadError, match=message) as raised:
        ids(jamendo, fetcher, Query())
    assert "Run the same command again later" in raised.value.hint
    assert CLIENT_ID not in str(raised.value)
    assert jamendo.asked["api"] <= 10


def test_invalid_client_id_is_a_usage_error_and_not_shown(
    jamendo: FakeJamendo, fetcher: Fetcher
) -> None:
    with pytest.raises(UsageError, match="does not accept this client ID") as raised:
        ids(jamendo, fetcher, Query(), client_id="wr0ng1d")
    assert "wr0ng1d" not in str(raised.value)
    assert "devportal.jamendo.com" in raised.value.hint
    assert jamendo.asked["api"] == 1
    assert "wr0ng1d" not in repr(Account(client_id="wr0ng1d"))


def test_endless_catalog_is_an_error(jamendo: FakeJamendo, fetcher: Fetcher) -> None:
    results: list[dict[str, object]] = [{"id": "1", "name": "again"}]
    jamendo.always["api"] = Answer(body=envelope(results))
    with pytest.raises(DownloadError, match="the same page"):
        ids(jamendo, fetcher, Query())


def test_total_is_requested_only_on_demand(jamendo: FakeJamendo, fetcher: Fetcher) -> None:
    jamendo.songs = [song(id=n, album_id=n + 1) for n in range(250)]
    account = Account(client_id=CLIENT_ID, base_url=jamendo.base_url)
    albums, _ = searches(Query())
    assert next(pages(albums, account, fetcher)).total is None
    assert next(pages(albums, account, fetcher, count=True)).total == 250
    assert ["fullcount" in query for query in jamendo.queries] == [False, True]
