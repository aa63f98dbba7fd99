"""The preview that the page's tests open."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from covergen.gallery.page import PageAlbum, PageCover, write_page
from covergen.gallery.thumbnail import save_thumbnail
from covergen.poster.attributes import draw_attributes
from covergen.poster.painter import paint
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
    "\ud800 alone",
)
_PICTURES = 4


def library() -> list[PageAlbum]:
    """33 albums: 20 painted, 4 skipped, 2 failed, and 7 painted ones with hostile names."""
    plain = [album(number) for number in range(26)]
    for number in range(20, 26):
        state, reason = ("skipped", "already has a cover") if number < 24 else ("failed", "corrupt")
        plain[number] = album(number, state=state, reason=reason, candidates=(), audio=None)
    return plain + [
        album(26 + index, id=name, title=name, artist=name, folder=name)
        for index, name in enumerate(HOSTILE)
    ]


def album(number: int, **changes: Any) -> PageAlbum:
    """An album with three candidates, with `changes` to its fields."""
    plain = PageAlbum(
        id=f"id-{number}",
        title=f"Album {number}",
        artist=ARTISTS[number * 3 % 5],
        date=f"{1960 + number * 7 % 50}-03-01",
        folder=f"Music/{number}",
        tracks=1 + number * 5 % 13,
        duration_seconds=100.0 + number * 977 % 5000,
        state="painted",
        reason="no cover yet",
        candidates=candidates(number),
        audio="audio/excerpt.wav",
    )
    return replace(plain, **changes)


def candidates(number: int, count: int = 3, seed: int = SEED) -> tuple[PageCover, ...]:
    pictures = [(number + index) % _PICTURES for index in range(count)]
    return tuple(
        PageCover(
            file=f"covers/{picture}.png", thumbnail=f"thumbnails/{picture}.jpg", seed=seed - index
        )
        for index, picture in enumerate(pictures)
    )


def lay_out(folder: Path, albums: Iterable[PageAlbum]) -> Path:
    """Write the pictures, an excerpt and the page. Returns the page."""
    for name in ("covers", "thumbnails", "audio"):
        (folder / name).mkdir(exist_ok=True)
    for number, picture in enumerate(_paintings()):
        Image.fromarray(picture).save(folder / f"covers/{number}.png")
        save_thumbnail(picture, folder / f"thumbnails/{number}.jpg", side=128)
    encode(folder / "audio/excerpt.wav", "wav", seconds=2.0)
    settings = {"model": "starter", "steps": "25"}
    return write_page(folder, albums, preview=PREVIEW, settings=settings)


@cache
def _paintings() -> list[Any]:
    rng = np.random.default_rng(7)
    return [paint(draw_attributes(rng), rng, size=128).pixels for _ in range(_PICTURES)]
