"""Jamendo on 127.0.0.1: its API v3.0 for tracks and its files, as documented.

It filters by type and license, and returns tracks in the order of `songs`.
"""

from __future__ import annotations

import functools
import json
import tempfile
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from tests.media import encode, picture_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "CLIENT_ID",
    "OVER_QUOTA",
    "TOO_FAST",
    "Answer",
    "FakeJamendo",
    "Song",
    "envelope",
    "make_song",
    "running",
]

CLIENT_ID = "5ec2e7ab"

_KNOWN = {
    "client_id", "format", "offset", "limit", "order", "groupby", "include", "imagesize",
    "audioformat", "audiodlformat", "datebetween", "tags", "fuzzytags", "ccsa", "ccnd", "ccnc",
    "type", "fullcount",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Song:
    """A track of the catalog. `album_id` 0: a single."""

    id: int
    cover: bytes | None
    sound: bytes
    album_id: int = 0
    title: str = "A Song"
    artist: str = "Ann Artist"
    license: str = "by-sa"
    license_url: str | None = None
    released: str = "2011-12-29"
    genres: tuple[str, ...] = ("rock",)
    downloadable: bool = True


def make_song(number: int, **fields: Any) -> Song:
    """A song with a cover of its own and a short sound; an album track unless told otherwise."""
    cover = picture_bytes("jpeg", size=64, color=(number % 256, 90, 200))
    defaults = {"album_id": 1000 + number, "title": f"Song {number}", "cover": cover}
    return Song(id=number, **{"sound": _sound(), **defaults, **fields})


@functools.cache
def _sound() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return encode(Path(folder, "song.mp3"), "mp3", seconds=6, kind="melody").read_bytes()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server says instead. `promised` replaces the length that is told, None: none is."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    promised: int | None = -1


@dataclass(kw_only=True)
class FakeJamendo:
    """What it has, how it misbehaves, and what it was asked for.

    `faults` are given one after another in place of the true answers: under "api", "image/ID" and
    "audio/ID". `always` has the same keys, and its faults never end.
    """

    songs: list[Song] = field(default_factory=list)
    faults: dict[str, list[Answer]] = field(default_factory=dict)
    always: dict[str, Answer] = field(default_factory=dict)
    queries: list[dict[str, str]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    address: str = ""

    @property
    def base_url(self) -> str:
        """Where its API is."""
        return f"{self.address}/v3.0"


def envelope(
    results: list[dict[str, object]] | None = None,
    *,
    code: int = 0,
    message: str = "",
    warnings: str = "",
    more: Mapping[str, str] | None = None,
) -> bytes:
    """An answer of the API."""
    results = results or []
    told = {
        "status": "failed" if code else "success",
        "code": code,
        "error_message": message,
        "warnings": warnings,
        "results_count": len(results),
        **(more or {}),
    }
    return json.dumps({"headers": told, "results": results}).encode()


OVER_QUOTA = Answer(body=envelope(warnings="You have exceeded your monthly quota"))
TOO_FAST = Answer(body=envelope(code=6, message="Rate Limit Exceeded"))


@contextmanager
def running(jamendo: FakeJamendo) -> Iterator[FakeJamendo]:
    """Serve on a free port while the context lasts."""

    class Handler(_Handler):
        served = jamendo

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        jamendo.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield jamendo
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    served: FakeJamendo

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        words = parts.path.strip("/").split("/")
        match words:
            case ["v3.0", "tracks"]:
                self.served.queries.append(query)
                name, answer = "api", Answer(body=_tracks(self.served, query))
            case ["image"]:
                name = f"image/{query['trackid']}"
                answer = self._file(query["trackid"], "cover")
            case ["download", "track", track_id, "mp32"]:
                name, answer = f"audio/{track_id}", self._file(track_id, "sound")
            case _:
                name, answer = parts.path, Answer(status=404)
        self.served.asked[name] += 1
        faults = self.served.faults.get(name)
        self._send(faults.pop(0) if faults else self.served.always.get(name, answer))

    def _file(self, track_id: str, kind: str) -> Answer:
        for song in self.served.songs:
            if str(song.id) == track_id:
                return Answer(body=getattr(song, kind))
        return Answer(status=404)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value.replace("ADDRESS", self.served.address))
        if answer.promised is not None:
            length = len(answer.body) if answer.promised < 0 else answer.promised
            self.send_header("Content-Length", str(length))
        self.end_headers()
        try:
            self.wfile.write(answer.body)
        except (BrokenPipeError, ConnectionResetError):  # who asked has heard enough
            self.close_connection = True


def _tracks(jamendo: FakeJamendo, query: dict[str, str]) -> bytes:
    if query.get("client_id") != CLIENT_ID:
        told = f"Your credential is not authorized: {query.get('client_id')}"
        return envelope(code=5, message=told)
    if not query.get("limit", "10").isdecimal() or int(query.get("limit", "10")) > 200:
        return envelope(code=3, message="limit must be at most 200")
    found = [song for song in jamendo.songs if _fits(song, query)]
    if query.get("groupby") == "album_id":
        found = list({song.album_id: song for song in reversed(found)}.values())[::-1]
    offset, limit = int(query.get("offset", "0")), int(query.get("limit", "10"))
    page = found[offset : offset + limit]
    unknown = ", ".join(sorted(query.keys() - _KNOWN))
    more = {"next": f"{jamendo.base_url}/tracks/?client_id={CLIENT_ID}&offset={offset + limit}"}
    if query.get("fullcount") == "true":
        more["results_fullcount"] = str(len(found))
    return envelope(
        [_listed(song, query, jamendo.address) for song in page],
        warnings=f"The following parameters are not recognized: [{unknown}]" if unknown else "",
        more=more,
    )


def _fits(song: Song, query: dict[str, str]) -> bool:
    kind = "albumtrack" if song.album_id else "single"
    clauses = song.license.split("-")
    filters = [query[f"cc{name}"] == str(name in clauses).lower()
               for name in ("sa", "nd", "nc") if f"cc{name}" in query]  # fmt: skip
    return kind in query.get("type", "albumtrack").split() and all(filters)


def _listed(song: Song, query: dict[str, str], address: str) -> dict[str, object]:
    image = ""
    if song.cover is not None:
        image = f"{address}/image?type=album&width={query.get('imagesize', 300)}&trackid={song.id}"
    code = f"http://creativecommons.org/licenses/{song.license}/3.0/"
    track: dict[str, object] = {
        "id": str(song.id),
        "name": song.title,
        "duration": 60,
        "artist_id": "7",
        "artist_name": song.artist,
        "album_id": str(song.album_id or ""),
        "album_name": f"Album {song.album_id}" if song.album_id else "",
        "license_ccurl": code if song.license_url is None else song.license_url,
        "releasedate": song.released,
        "album_image": image if song.album_id else "",
        "image": image,
        "audio": f"{address}/stream/{song.id}",
        "audiodownload": f"{address}/download/track/{song.id}/mp32/" if song.downloadable else "",
        "audiodownload_allowed": song.downloadable,
    }
    if "musicinfo" in query.get("include", "").split():
        tags = {"genres": list(song.genres), "instruments": [], "vartags": []}
        track["musicinfo"] = {"vocalinstrumental": "vocal", "speed": "medium", "tags": tags}
    return track
