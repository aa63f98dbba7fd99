"""The preview that the page's tests open."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from covergen.core.album import Action
from covergen.core.reasons import Reason
from covergen.gallery.thumbnail import save_thumbnail
from covergen.poster.attributes import draw_attributes
from covergen.poster.painter import paint
from covergen.preview.manifest import AlbumEntry, Candidate, ManifestHeader, TrackEntry
from covergen.preview.page.build_page import make_page
from tests.media import encode

__all__ = ["ARTISTS", "HOSTILE", "PREVIEW", "SEED", "album", "candidates", "lay_out", "library"]

PREVIEW = "9f3a61"
SEED = 2**63 - 1  # more than a JavaScript number can hold
ARTISTS = ("Björk", "Miles Davis", "Sigur Rós", "Земфира", "坂本龍一")  # in sort order
HOSTILE = (
    "<script>window.harmed = true</script>",
    "</script><script>window.harmed = true</script><!-- <script>",
    '"><img src=x onerror="window.harmed = true">',
    "$policy ${title} {{ 7 * 7 }} &amp; \u2028 \u2029 \\u003c",
    "שלום \u202egnp.exe",
    "__proto__",
    "\ufffd alone",
)
_PICTURES = 4


def library() -> list[AlbumEntry]:
    """33 albums: 20 painted, 4 skipped, 2 failed, and 7 painted ones with hostile names."""
    plain = [album(number) for number in range(26)]
    for number in range(20, 26):
        reason = Reason.HAS_ART if number < 24 else Reason.NOTHING_HEARD
        plain[number] = album(number, action=Action.SKIP, reason=reason, candidates=(), excerpt="")
    return plain + [
        album(26 + index, id=name, title=name, artist=name, folder=name)
        for index, name in enumerate(HOSTILE)
    ]


def album(number: int, *, tracks: int | None = None, **changes: Any) -> AlbumEntry:
    """An album with three candidates, with `changes` to its fields."""
    count = 1 + number * 5 % 13 if tracks is None else tracks
    track = TrackEntry(path="a.mp3", size=1, mtime_ns=1, has_art=False, target=True)
    plain = AlbumEntry(
        id=f"id-{number}",
        key=f"key-{number}",
        title=f"Album {number}",
        artist=ARTISTS[number * 3 % 5],
        date=f"{1960 + number * 7 % 50}-03-01",
        root=0,
        folder=f"Music/{number}",
        shares_folder=False,
        cover_file="",
        seconds=100.0 + number * 977 % 5000,
        tracks=(track,) * count,
        action=Action.PAINT,
        reason=Reason.NO_COVER,
        candidates=candidates(number),
        excerpt="excerpt.wav",
    )
    return replace(plain, **changes)


def candidates(number: int, count: int = 3, seed: int = SEED) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(number=k, seed=seed - k, cover=f"{(number + k) % _PICTURES}.png")
        for k in range(count)
    )


def lay_out(folder: Path, albums: Iterable[AlbumEntry]) -> Path:
    """Write the pictures, an excerpt and the page. Returns the page."""
    for name in ("covers", "thumbnails", "audio"):
        (folder / name).mkdir(exist_ok=True)
    for number, picture in enumerate(_paintings()):
        Image.fromarray(picture).save(folder / f"covers/{number}.png")
        save_thumbnail(picture, folder / f"thumbnails/{number}.jpg", side=128)
    encode(folder / "audio/excerpt.wav", "wav", seconds=2.0)
    settings = {"model": "starter", "steps": "25"}
    return make_page(folder, ManifestHeader(preview=PREVIEW, roots=(), settings=settings), albums)


@cache
def _paintings() -> list[Any]:
    rng = np.random.default_rng(7)
    return [paint(draw_attributes(rng), rng, size=128).pixels for _ in range(_PICTURES)]
