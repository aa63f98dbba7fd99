"""Search Jamendo's catalog through its API v3.0.

Source: developer.jamendo.com/v3.0/response-codes.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from covergen.core.errors import DownloadError, UsageError
from covergen.datasets.jamendo.fetch import FetchError, PassingError
from covergen.datasets.jamendo.query import PAGE_SIZE
from covergen.datasets.jamendo.track import parse_track, plain_text

if TYPE_CHECKING:
    from covergen.datasets.jamendo.fetch import Fetcher
    from covergen.datasets.jamendo.track import JamendoTrack


BASE_URL = "https://api.jamendo.com/v3.0"
_MAX_PAGE_BYTES = 32_000_000
_ATTEMPTS = 7  # about two minutes
_ATTEMPTS_TO_COUNT = 3
_SUCCESS, _BAD_CLIENT_ID = 0, 5
_TRANSIENT_CODES = (1, 6)  # unidentified exception; rate limit exceeded
_EMPTY_PAGES_AT_END = 2  # in a row: Jamendo sometimes returns a single one under load


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The client ID and the API's URL. The ID is secret and must not be in messages or files."""

    client_id: str = field(repr=False)
    base_url: str = BASE_URL


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a search. `total` is the number of results of the search, if requested."""

    tracks: tuple[JamendoTrack, ...]
    total: int | None


def pages(
    search: Mapping[str, str], account: Account, fetcher: Fetcher, *, count: bool = False
) -> Iterator[Page]:
    """Yield all pages of a search.

    `count` requests the total, which is expensive for Jamendo, and retries fewer times because the
    user is waiting. Raises UsageError for an invalid client ID, and DownloadError.
    """
    parameters = dict(search)
    if count:
        parameters["fullcount"] = "true"
    previous: Page | None = None
    for offset in itertools.count(step=PAGE_SIZE):  # a page may have fewer results: it is filtered
        request = parameters | {"offset": str(offset)}
        page = _page(request, account, fetcher, _ATTEMPTS_TO_COUNT if count else _ATTEMPTS)
        if page is None:
            return
        if page == previous:
            raise DownloadError("Jamendo keeps returning the same page of its catalog.")
        yield page
        previous = page


def _page(
    parameters: Mapping[str, str], account: Account, fetcher: Fetcher, attempts: int
) -> Page | None:
    """Return a page of the catalog, or None past its end."""
    empty_pages = 0

    def request() -> Page | None:
        nonlocal empty_pages
        headers, results = _request(parameters, account, fetcher)
        if results:
            tracks = tuple(track for track in map(parse_track, results) if track)
            return Page(tracks=tracks, total=_number(headers.get("results_fullcount")))
        if warning := _header_text(headers, "warnings", account):  # over quota, not the end
            raise PassingError(f"it returned no results, with the warning: {warning}")
        empty_pages += 1
        if empty_pages < _EMPTY_PAGES_AT_END:
            raise PassingError("it returned no results")
        return None

    try:
        return fetcher.patiently(request, attempts=attempts)
    except FetchError as error:
        raise DownloadError(
            f"Jamendo's catalog cannot be read: {error}.",
            hint="Run the same command again later. Jamendo allows 35,000 requests a month; a run"
            " makes one for every 200 albums.",
        ) from error


def _request(
    parameters: Mapping[str, str], account: Account, fetcher: Fetcher
) -> tuple[dict[str, Any], list[object]]:
    """Return the headers and the results of a request.

    Raises UsageError for an invalid client ID, and FetchError for any other failure.
    """
    body = io.BytesIO()
    fetcher.fetch(
        f"{account.base_url}/tracks/",
        body,
        limit_bytes=_MAX_PAGE_BYTES,
        parameters={**parameters, "client_id": account.client_id},
    )
    headers, results = _envelope(body.getvalue())
    code = _number(headers.get("code"))
    if code == _SUCCESS:
        return headers, results
    message = f"error {code}: {_header_text(headers, 'error_message', account) or 'no message'}"
    if code == _BAD_CLIENT_ID:
        raise UsageError(
            f"Jamendo does not accept this client ID ({message}).",
            hint="Copy the client ID of your application from https://devportal.jamendo.com.",
        )
    if code in _TRANSIENT_CODES:
        raise PassingError(message)
    raise FetchError(message)


def _envelope(body: bytes) -> tuple[dict[str, Any], list[object]]:
    try:
        envelope = json.loads(body)
        headers, results = envelope["headers"], envelope.get("results", [])
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        headers = results = None
    if not isinstance(headers, dict) or not isinstance(results, list):
        raise PassingError("its response is not one of Jamendo's API")
    return headers, results


def _number(value: object) -> int | None:
    text = plain_text(value)
    return int(text) if text.isdecimal() else None


def _header_text(headers: Mapping[str, object], name: str, account: Account) -> str:
    """Return a text from Jamendo without the client ID, which it may echo."""
    return plain_text(headers.get(name)).replace(account.client_id, "…")
