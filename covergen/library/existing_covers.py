"""The covers that an album has already."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from covergen.core.errors import TagError
from covergen.core.picture import is_image
from covergen.library.pictures import FRONT_COVER, ICONS, EmbeddedPicture, shown_pictures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from covergen.core.types import Album

__all__ = ["covers_of"]

_MOST_BYTES = 64 << 20  # of a cover file; no picture is larger


def covers_of(album: Album) -> Iterator[bytes]:
    """Yield each track's picture as players show it, and then the cover file, as they lie there.

    They may be alike, or no pictures at all; what cannot be read, or is too large, is left out.
    """
    for track in album.tracks:
        if track.has_art:
            with suppress(TagError):
                pictures = shown_pictures(track.path, track.container)
                images = (picture for picture in pictures if is_image(picture.data))
                yield from (picture.data for picture in sorted(images, key=_rank)[:1])
    if album.cover_file is not None:
        with suppress(OSError):
            if album.cover_file.stat().st_size <= _MOST_BYTES:
                yield album.cover_file.read_bytes()


def _rank(picture: EmbeddedPicture) -> tuple[bool, bool]:
    """Players show the front cover, else the first that is no icon."""
    return picture.kind != FRONT_COVER, picture.kind in ICONS
