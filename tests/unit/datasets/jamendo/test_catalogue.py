"""Jamendo's catalogue, read to its end: what it is asked, and what its answers mean."""

from collections.abc import Iterator
from datetime import date
from functools import partial

import pytest

from covergen.core.errors import DownloadError, UsageError
from covergen.datasets.jamendo.catalogue import Account, pages
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


def test_albums_come_once_each_and_singles_after_them(
    jamendo: FakeJamendo, fetcher: Fetcher
) -> None:
    jamendo.songs = [song(id=n, album_id=n // 3 + 1 if n < 9 else 0) for n in range(12)]
    assert ids(jamendo, fetcher, Query()) == [0, 3, 6, 9, 10, 11]


def test_a_long_catalogue_is_read_page_by_page(jamendo: FakeJamendo, fetcher: Fetcher) -> None:
    jamendo.songs = [song(id=n, album_id=n + 1) for n in range(450)]
    assert ids(jamendo, fetcher, Query()) == list(range(450))
    offsets = [query["offset"] for query in jamendo.queries if query["type"] == "albumtrack"]
    assert offsets == ["0", "200", "400", "600", "600"]


def test_jamendo_knows_all_that_it_is_asked(jamendo: FakeJamendo, fetcher: Fetcher) -> None:
    jamendo.songs = [song(id=1, album_id=1, genres=("rock", "jazz"), released="2012-05-05")]
    query = Query(
        licences=("by-sa",),
        tags=("rock", "jazz"),
        any_tags=("jazz", "folk"),
        since=date(2012, 1, 1),
        until=date(2012, 12, 31),
        order="popularity_total",
        image_size=300,
    )
    assert ids(jamendo, fetcher, query) == [1]
    asked = jamendo.queries[0]
    assert asked["include"].split() == ["licenses", "musicinfo"]
    assert asked["tags"].split() == ["rock", "jazz"]
    assert asked["datebetween"] == "2012-01-01_2012-12-31"
    assert (asked["ccnd"], asked["ccsa"], asked["ccnc"]) == ("false", "true", "false")
    assert (asked["imagesize"], asked["groupby"], asked["limit"]) == ("300", "album_id", "200")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(since=date(2015, 1, 1)), [3, 4]),
        (Query(until=date(2014, 12, 31)), [1, 2]),
        (Query(tags=("jazz",)), [2, 4]),
        (Query(any_tags=("jazz", "folk")), [2, 3, 4]),
        (Query(tags=("jazz", "folk")), [4]),
        (Query(order="newest"), [4, 3, 2, 1]),
        (Query(order="popularity_total"), [2, 4, 1, 3]),
    ],
)
def test_a_query_narrows_and_orders(
    jamendo: FakeJamendo, fetcher: Fetcher, query: Query, expected: list[int]
) -> None:
    jamendo.songs = [
        song(id=1, album_id=1, released="2010-01-01", popularity=3),
        song(id=2, album_id=2, released="2013-01-01", popularity=9, genres=("jazz",)),
        song(id=3, album_id=3, released="2016-01-01", popularity=1, genres=("folk",)),
        song(id=4, album_id=4, released="2019-01-01", popularity=5, genres=("jazz", "folk")),
    ]
    assert ids(jamendo, fetcher, query) == expected


EMPTY = Answer(body=envelope())
PASSING = {
    "over quota": [OVER_QUOTA] * 3,
    "too fast": [TOO_FAST] * 3,
    "unclear": [Answer(body=envelope(code=1, message="An exception"))],
    "hasty": [EMPTY],
    "500": [Answer(status=500, body=b"oops")],
    "429": [Answer(status=429, headers={"Retry-After": "0"})],
    "truncated": [Answer(body=envelope()[:-9], promised=len(envelope()))],
    "a page": [Answer(body=b"<html>Maintenance</html>")],
    "no envelope": [Answer(body=b"[1, 2]"), Answer(body=b'{"headers": 5}'), Answer(body=b"null")],
    "nested": [Answer(body=b"[" * 100_000)],
    "of all": [OVER_QUOTA, EMPTY, TOO_FAST, Answer(status=502), Answer(body=b"")],
}


@pytest.mark.parametrize("faults", PASSING.values(), ids=PASSING)
def test_an_answer_that_may_pass_is_not_the_end(
    jamendo: FakeJamendo, fetcher: Fetcher, faults: list[Answer]
) -> None:
    jamendo.songs = [song(id=n, album_id=n + 1) for n in range(3)]
    jamendo.faults["api"] = list(faults)
    assert ids(jamendo, fetcher, Query()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (OVER_QUOTA, "You have exceeded your monthly quota"),
        (TOO_FAST, "error 6: Rate Limit Exceeded"),
        (Answer(body=envelope(code=11, message="Suspended")), "error 11: Suspended"),
        (Answer(body=b"<html>"), "none of Jamendo's API"),
        (Answer(status=403), "403"),
        (Answer(status=503, headers={"Retry-After": "99999"}), "503"),
    ],
)
def test_what_does_not_pass_is_told_with_what_to_do(
    jamendo: FakeJamendo, fetcher: Fetcher, answer: Answer, told: str
) -> None:
    jamendo.always["api"] = answer
    with pytest.raises(DownloadError, match=told) as raised:
        ids(jamendo, fetcher, Query())
    assert "run the same command again later" in raised.value.hint
    assert CLIENT_ID not in str(raised.value)
    assert jamendo.asked["api"] <= 10


def test_a_bad_client_id_is_the_users_mistake_and_is_not_repeated(
    jamendo: FakeJamendo, fetcher: Fetcher
) -> None:
    with pytest.raises(UsageError, match="does not know this client id") as raised:
        ids(jamendo, fetcher, Query(), client_id="wr0ng1d")
    assert "wr0ng1d" not in str(raised.value)
    assert "devportal.jamendo.com" in raised.value.hint
    assert jamendo.asked["api"] == 1
    assert "wr0ng1d" not in repr(Account(client_id="wr0ng1d"))


def test_a_catalogue_without_end_is_left(jamendo: FakeJamendo, fetcher: Fetcher) -> None:
    results: list[dict[str, object]] = [{"id": "1", "name": "again"}]
    jamendo.always["api"] = Answer(body=envelope(results))
    with pytest.raises(DownloadError, match="again and again"):
        ids(jamendo, fetcher, Query())


def test_a_total_is_only_asked_for_when_wanted(jamendo: FakeJamendo, fetcher: Fetcher) -> None:
    jamendo.songs = [song(id=n, album_id=n + 1) for n in range(250)]
    account = Account(client_id=CLIENT_ID, base_url=jamendo.base_url)
    albums, _ = searches(Query())
    assert next(pages(albums, account, fetcher)).total is None
    assert next(pages(albums, account, fetcher, count=True)).total == 250
    assert ["fullcount" in query for query in jamendo.queries] == [False, True]
