"""Write the preview as an HTML page that opens from disk and loads only files of its folder.

The albums are embedded as JSON in a script element that is never executed; the page's own script
inserts them as text. The Content-Security-Policy allows only that script, by its hash, and files
of the preview.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePosixPath
from string import Template
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from covergen.core.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["PageAlbum", "PageCover", "write_page"]

_SCRIPTS = ("choices.js", "cards.js", "grid.js", "viewer.js", "main.js")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCover:
    """One candidate. `file` and `thumbnail` are POSIX paths relative to the page's folder."""

    file: str
    thumbnail: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAlbum:
    """An album on the page; `id` is its key in choices.json.

    `date` is as tagged; `folder` and `reason` are for display. `candidates` are numbered from 1,
    and empty unless the state is "painted". `audio` is the path of an excerpt relative to the
    page's folder.
    """

    id: str
    title: str
    artist: str
    date: str
    folder: str
    tracks: int
    duration_seconds: float
    state: Literal["painted", "skipped", "failed"]
    reason: str
    candidates: tuple[PageCover, ...] = ()
    audio: str | None = None


def write_page(
    folder: Path,
    albums: Iterable[PageAlbum],
    *,
    preview: str,
    title: str = "covergen preview",
    settings: Mapping[str, str] | None = None,
) -> Path:
    """Write `folder`/index.html atomically and return its path.

    `preview` is the ID that the page writes to choices.json. `settings` are shown for every cover.
    Raises OSError, and ValueError for a file that is not below the folder.
    """
    data = {
        "preview": preview,
        "settings": _pairs(settings or {}),
        "albums": [_album(album) for album in albums],
    }
    style, script = _asset("page.css"), "\n".join(map(_asset, _SCRIPTS))
    page = Template(_asset("page.html")).substitute(
        title=html.escape(title),
        policy=_policy(style, script),
        style=style,
        script=script,
        data=_inert_json(data),
    )
    path = folder / "index.html"
    write_whole(path, page.encode())
    return path


def _album(album: PageAlbum) -> dict[str, Any]:
    year = re.search(r"\d{4}", album.date)
    return {
        "id": album.id,
        "title": album.title or "Untitled",
        "artist": album.artist,
        "year": year.group() if year else album.date,
        "folder": album.folder,
        "tracks": album.tracks,
        "duration": album.duration_seconds,
        "state": album.state,
        "reason": album.reason,
        "candidates": [_cover(cover) for cover in album.candidates],
        "audio": None if album.audio is None else _address(album.audio),
    }


def _cover(cover: PageCover) -> dict[str, Any]:
    return {
        "file": _address(cover.file),
        "thumbnail": _address(cover.thumbnail),
        "seed": str(cover.seed),  # JavaScript numbers are exact up to 2^53; seeds go up to 2^63
        "settings": _pairs({"cover's seed": str(cover.seed)}),
    }


def _pairs(settings: Mapping[str, str]) -> list[tuple[str, str]]:
    return list(settings.items())  # JavaScript objects reorder number-like keys


def _address(file: str) -> str:
    """Return a relative URL. Raises ValueError if the file is not below the page's folder."""
    path = PurePosixPath(file)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in file:
        raise ValueError(f"{file!r} is not below the page's folder")
    return "./" + quote(str(path), errors="surrogateescape")


def _inert_json(data: object) -> str:
    """Return ASCII JSON without "<", so that it can neither end a script nor start a comment."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _policy(style: str, script: str) -> str:
    return "; ".join(
        [
            "default-src 'none'",
            f"style-src {_hash(style)}",
            f"script-src {_hash(script)}",
            # Browsers give a page on disk another origin than its files, so 'self' is not enough.
            "img-src 'self' file:",
            "media-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    asset = resources.files("covergen.gallery") / "assets" / name
    return asset.read_text(encoding="utf-8")
