"""Jamendo's catalogue, read through its API v3.0: one track for each cover.

Source: developer.jamendo.com/v3.0/response-codes.
"""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from covergen.core.errors import DownloadError, UsageError
from covergen.datasets.jamendo.fetch import FetchError, PassingError
from covergen.datasets.jamendo.query import PAGE_SIZE
from covergen.datasets.jamendo.track import parse_track, plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from covergen.datasets.jamendo.fetch import Fetcher
    from covergen.datasets.jamendo.track import JamendoTrack

__all__ = ["BASE_URL", "Account", "Page", "pages"]

BASE_URL = "https://api.jamendo.com/v3.0"
_PAGE_BYTES = 32_000_000
_ATTEMPTS = 7  # two minutes of patience
_ATTEMPTS_TO_COUNT = 3
_SUCCESS, _BAD_CLIENT_ID = 0, 5
_PASSING = (1, 6)  # an exception not well identified; rate limit exceeded
_END = 2  # empty answers in a row: asked in haste, Jamendo gives one now and then


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who asks, and where. The client id is a secret: no message and no file holds it."""

    client_id: str = field(repr=False)
    base_url: str = BASE_URL


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of a search's tracks; `total` is how many the search has, None if not asked."""

    tracks: tuple[JamendoTrack, ...]
    total: int | None


def pages(
    search: Mapping[str, str], account: Account, fetcher: Fetcher, *, count: bool = False
) -> Iterator[Page]:
    """Read a search to its end.

    `count` asks for its total, which costs Jamendo some work, and is less patient: somebody waits.
    Raises UsageError for a bad client id, DownloadError where Jamendo cannot be read.
    """
    parameters = dict(search)
    if count:
        parameters["fullcount"] = "true"
    before: Page | None = None
    for offset in itertools.count(step=PAGE_SIZE):  # whatever a page holds: it may be filtered
        asked = parameters | {"offset": str(offset)}
        page = _page(asked, account, fetcher, _ATTEMPTS_TO_COUNT if count else _ATTEMPTS)
        if page is None:
            return
        if page == before:
            raise DownloadError("Jamendo gives the same page of its catalogue again and again.")
        yield page
        before = page


def _page(
    parameters: Mapping[str, str], account: Account, fetcher: Fetcher, attempts: int
) -> Page | None:
    """A page of the catalogue, None past its end."""
    empty = 0

    def ask() -> Page | None:
        nonlocal empty
        headers, results = _ask(parameters, account, fetcher)
        if results:
            tracks = tuple(track for track in map(parse_track, results) if track)
            return Page(tracks=tracks, total=_number(headers.get("results_fullcount")))
        if warning := _said(headers, "warnings", account):  # as over quota: not the end
            raise PassingError(f"it gives no results, and warns: {warning}")
        empty += 1
        if empty < _END:
            raise PassingError("it gives no results")
        return None

    try:
        return fetcher.patiently(ask, attempts=attempts)
    except FetchError as error:
        raise DownloadError(
            f"Jamendo's catalogue cannot be read: {error}.",
            hint="Wait, and run the same command again later. Jamendo allows 35,000 requests a"
            " month; a run takes one for every 200 albums.",
        ) from error


def _ask(
    parameters: Mapping[str, str], account: Account, fetcher: Fetcher
) -> tuple[dict[str, Any], list[object]]:
    """The headers and the results of a successful request.

    Raises UsageError for a bad client id, FetchError for whatever else is not success.
    """
    body = io.BytesIO()
    fetcher.fetch(
        f"{account.base_url}/tracks/",
        body,
        limit_bytes=_PAGE_BYTES,
        parameters={**parameters, "client_id": account.client_id},
    )
    headers, results = _envelope(body.getvalue())
    code = _number(headers.get("code"))
    if code == _SUCCESS:
        return headers, results
    message = f"error {code}: {_said(headers, 'error_message', account) or 'no more is said'}"
    if code == _BAD_CLIENT_ID:
        raise UsageError(
            f"Jamendo does not know this client id ({message}).",
            hint="See the client id of your application at https://devportal.jamendo.com.",
        )
    if code in _PASSING:
        raise PassingError(message)
    raise FetchError(message)


def _envelope(body: bytes) -> tuple[dict[str, Any], list[object]]:
    try:
        envelope = json.loads(body)
        headers, results = envelope["headers"], envelope.get("results", [])
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        headers = results = None
    if not isinstance(headers, dict) or not isinstance(results, list):
        raise PassingError("its answer is none of Jamendo's API")
    return headers, results


def _number(value: object) -> int | None:
    text = plain_text(value)
    return int(text) if text.isdecimal() else None


def _said(headers: Mapping[str, object], name: str, account: Account) -> str:
    """What Jamendo says, without the client id, which it may repeat."""
    return plain_text(headers.get(name)).replace(account.client_id, "…")
