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

    from covergen.preview.manifest import Candidate, PlanFile, PlannedAlbum

__all__ = ["make_page", "make_sheets"]

_SHEET = "sheet.png"
_SHOWN_AS = {"seed": "--seed"}  # the option, as opposed to the seed of each cover


def make_page(folder: Path, plan: PlanFile) -> None:
    """Write index.html. Raises WriteError."""
    with write_errors(folder):
        write_page(
            folder,
            map(_page_album, plan),
            preview=plan.header.preview,
            title=_readable(f"covergen preview: {', '.join(plan.header.roots)}"),
            settings={
                _SHOWN_AS.get(name, name): text for name, text in plan.header.settings.items()
            },
        )


def make_sheets(folder: Path, plan: PlanFile) -> None:
    """Write sheet.png, and further sheets as needed; none if nothing is painted.

    Raises WriteError.
    """
    tiles = _tiles(folder, plan)
    written: tuple[Path, ...] = ()
    with write_errors(folder):
        if first := next(tiles, None):
            written = save_sheet(chain([first], tiles), folder / _SHEET)
        for old in set(folder.glob("sheet*.png")) - set(written):
            old.unlink()


def _page_album(album: PlannedAlbum) -> PageAlbum:
    unpainted = album.action is Action.PAINT and not album.candidates
    reason = Reason.NOT_PAINTED if unpainted else album.reason
    return PageAlbum(
        id=album.id,
        title=_readable(album.title),
        artist=_readable(album.artist),
        date=_readable(album.date),
        folder=_readable(album.folder),
        tracks=len(album.tracks),
        duration_seconds=album.seconds,
        state=_state(album),
        reason=reason.text,
        candidates=tuple(map(_page_cover, album.candidates)),
        audio=f"{EXCERPTS}/{album.excerpt}" if album.excerpt else None,
    )


def _state(album: PlannedAlbum) -> Literal["painted", "skipped", "failed"]:
    if album.candidates:
        return "painted"
    return "failed" if album.reason is Reason.NOTHING_HEARD else "skipped"


def _page_cover(candidate: Candidate) -> PageCover:
    return PageCover(
        file=f"{COVERS}/{candidate.cover}",
        thumbnail=f"{THUMBNAILS}/{_thumbnail(candidate)}",
        seed=candidate.seed,
    )


def _thumbnail(candidate: Candidate) -> str:
    return candidate.cover.removesuffix(".png") + ".jpg"


def _tiles(folder: Path, plan: PlanFile) -> Iterator[Tile]:
    """Yield one tile for each candidate."""
    for album in plan:
        for number, candidate in enumerate(album.candidates, 1):
            several = f"{number} of {len(album.candidates)}" if len(album.candidates) > 1 else ""
            yield Tile(
                picture=folder / THUMBNAILS / _thumbnail(candidate),
                caption=_readable(" – ".join(filter(None, (album.artist, album.title)))),
                detail=_readable(" · ".join(filter(None, (album.date[:4], several)))),
            )


def _readable(text: str) -> str:
    """Replace undecodable bytes of a file name or tag."""
    return text.encode("utf-8", "replace").decode("utf-8")
