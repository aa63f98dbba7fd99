"""The covers that an album already has."""

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

_MAX_BYTES = 64 << 20  # no sensible cover file is larger


def covers_of(album: Album) -> Iterator[bytes]:
    """Yield the picture that players show for each track, then the cover file, as bytes.

    There may be duplicates, or damaged pictures. Unreadable and oversized ones are skipped.
    """
    for track in album.tracks:
        if track.has_art:
            with suppress(TagError):
                pictures = shown_pictures(track.path, track.container)
                images = (picture for picture in pictures if is_image(picture.data))
                yield from (picture.data for picture in sorted(images, key=_rank)[:1])
    if album.cover_file is not None:
        with suppress(OSError):
            if album.cover_file.stat().st_size <= _MAX_BYTES:
                yield album.cover_file.read_bytes()


def _rank(picture: EmbeddedPicture) -> tuple[bool, bool]:
    """Sort like players: the front cover first, then pictures that are not icons."""
    return picture.kind != FRONT_COVER, picture.kind in ICONS
