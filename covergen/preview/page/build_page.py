"""The page and the contact sheets of a preview.

The page opens from disk and loads only files of its folder. The albums are embedded as JSON in a
script element that is never executed; the page's own script inserts them as text. The
Content-Security-Policy allows only that script, by its hash, and files of the preview.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator
from importlib import resources
from itertools import chain
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Literal

from covergen.core.album import Action
from covergen.core.atomic_write import write_whole
from covergen.core.os_errors import write_errors
from covergen.core.reasons import Reason
from covergen.gallery.contact_sheet import Tile, save_sheet
from covergen.preview.folder import COVERS, EXCERPTS, THUMBNAILS

if TYPE_CHECKING:
    from covergen.preview.manifest import AlbumEntry, Candidate, Manifest, ManifestHeader


_SCRIPTS = ("choices.js", "cards.js", "grid.js", "viewer.js", "main.js")
_SHEET = "sheet.png"
_SHOWN_AS = {"seed": "run's seed"}  # as opposed to the seed of each cover


def make_page(folder: Path, header: ManifestHeader, albums: Iterable[AlbumEntry]) -> Path:
    """Write index.html atomically; return its path. Raises WriteError."""
    settings = [(_SHOWN_AS.get(name, name), text) for name, text in header.settings.items()]
    data = {
        "preview": header.preview,
        "settings": settings,  # a list, since JavaScript objects reorder number-like keys
        "albums": list(map(_album, albums)),
    }
    style, script = _asset("page.css"), "\n".join(map(_asset, _SCRIPTS))
    page = Template(_asset("page.html")).substitute(
        title=html.escape(_readable(f"covergen preview: {', '.join(header.roots)}")),
        policy=_policy(style, script),
        style=style,
        script=script,
        data=_inert_json(data),
    )
    path = folder / "index.html"
    with write_errors(path):
        write_whole(path, page.encode())
    return path


def make_sheets(folder: Path, manifest: Manifest) -> None:
    """Write sheet.png, and further sheets as needed; none if nothing is painted.

    Raises WriteError.
    """
    tiles = _tiles(folder, manifest)
    written: tuple[Path, ...] = ()
    with write_errors(folder):
        if first := next(tiles, None):
            written = save_sheet(chain([first], tiles), folder / _SHEET)
        for old in set(folder.glob("sheet*.png")) - set(written):
            old.unlink()


def _album(entry: AlbumEntry) -> dict[str, Any]:
    unpainted = entry.action is Action.PAINT and not entry.candidates
    reason = Reason.NOT_PAINTED if unpainted else entry.reason
    year = re.search(r"\d{4}", entry.date)
    return {
        "id": entry.id,
        "title": _readable(entry.title) or "Untitled",
        "artist": _readable(entry.artist),
        "year": year.group() if year else _readable(entry.date),
        "folder": _readable(entry.folder),
        "tracks": len(entry.tracks),
        "duration": entry.seconds,
        "state": _state(entry),
        "reason": reason.text,
        "candidates": list(map(_candidate, entry.candidates)),
        "audio": f"./{EXCERPTS}/{entry.excerpt}" if entry.excerpt else None,
    }


def _state(entry: AlbumEntry) -> Literal["painted", "skipped", "failed"]:
    if entry.candidates:
        return "painted"
    return "failed" if entry.reason is Reason.NOTHING_HEARD else "skipped"


def _candidate(candidate: Candidate) -> dict[str, Any]:
    seed = str(candidate.seed)  # JavaScript numbers are exact up to 2^53; seeds go up to 2^63
    return {
        "file": f"./{COVERS}/{candidate.cover}",
        "thumbnail": f"./{THUMBNAILS}/{_thumbnail(candidate)}",
        "seed": seed,
        "settings": [("cover's seed", seed)],
    }


def _thumbnail(candidate: Candidate) -> str:
    return candidate.cover.removesuffix(".png") + ".jpg"


def _tiles(folder: Path, manifest: Manifest) -> Iterator[Tile]:
    """Yield one tile for each candidate."""
    for entry in manifest:
        for number, candidate in enumerate(entry.candidates, 1):
            several = f"{number} of {len(entry.candidates)}" if len(entry.candidates) > 1 else ""
            yield Tile(
                picture=folder / THUMBNAILS / _thumbnail(candidate),
                caption=_readable(" – ".join(filter(None, (entry.artist, entry.title)))),
                detail=_readable(" · ".join(filter(None, (entry.date[:4], several)))),
            )


def _readable(text: str) -> str:
    """Replace undecodable bytes of a file name or tag."""
    return text.encode("utf-8", "replace").decode("utf-8")


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
    asset = resources.files(__package__) / name
    return asset.read_text(encoding="utf-8")
