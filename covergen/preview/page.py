"""The page and the contact sheets of a preview."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Literal

from covergen.core.os_errors import write_errors
from covergen.core.reasons import Reason
from covergen.core.types import Action
from covergen.gallery.page import PageAlbum, PageCover, write_page
from covergen.gallery.sheet import Tile, save_sheet
from covergen.preview.folder import COVERS, EXCERPTS, THUMBNAILS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from covergen.preview.manifest import AlbumEntry, Candidate, Manifest

__all__ = ["make_page", "make_sheets"]

_SHEET = "sheet.png"
_SHOWN_AS = {"seed": "run's seed"}  # as opposed to the seed of each cover


def make_page(folder: Path, manifest: Manifest) -> None:
    """Write index.html. Raises WriteError."""
    with write_errors(folder):
        write_page(
            folder,
            map(_page_album, manifest),
            preview=manifest.header.preview,
            title=_readable(f"covergen preview: {', '.join(manifest.header.roots)}"),
            settings={
                _SHOWN_AS.get(name, name): text for name, text in manifest.header.settings.items()
            },
        )


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


def _page_album(entry: AlbumEntry) -> PageAlbum:
    unpainted = entry.action is Action.PAINT and not entry.candidates
    reason = Reason.NOT_PAINTED if unpainted else entry.reason
    return PageAlbum(
        id=entry.id,
        title=_readable(entry.title),
        artist=_readable(entry.artist),
        date=_readable(entry.date),
        folder=_readable(entry.folder),
        tracks=len(entry.tracks),
        duration_seconds=entry.seconds,
        state=_state(entry),
        reason=reason.text,
        candidates=tuple(map(_page_cover, entry.candidates)),
        audio=f"{EXCERPTS}/{entry.excerpt}" if entry.excerpt else None,
    )


def _state(entry: AlbumEntry) -> Literal["painted", "skipped", "failed"]:
    if entry.candidates:
        return "painted"
    return "failed" if entry.reason is Reason.NOTHING_HEARD else "skipped"


def _page_cover(candidate: Candidate) -> PageCover:
    return PageCover(
        file=f"{COVERS}/{candidate.cover}",
        thumbnail=f"{THUMBNAILS}/{_thumbnail(candidate)}",
        seed=candidate.seed,
    )


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
