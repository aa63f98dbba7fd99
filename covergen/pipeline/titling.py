"""Set titles on painted covers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from covergen.core.cover import Cover
from covergen.pipeline.events import Untitled

if TYPE_CHECKING:
    from covergen.core.album import Album
    from covergen.pipeline.events import Emit
    from covergen.pipeline.options import PaintOptions


_SIDE = 1024  # pixels; smaller type would be blurred


def titled(cover: Cover, album: Album, options: PaintOptions) -> Cover:
    """Return the cover with the album's title, as the model asks for it.

    It is the same cover if no title is asked for, or if none can be set. In a title that is the
    name of a file or folder, spaces take the place of underscores.
    """
    kind = options.preset.sampling.title
    if kind == "none":
        return cover
    import numpy as np
    from PIL import Image

    from covergen.typography.titles import compose

    side = options.size or max(_SIDE, len(cover.pixels))
    image = Image.fromarray(cover.pixels)
    if image.width != side:
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    artist = album.artist if kind == "full" else ""
    composition = compose(np.asarray(image), _title(album), artist, seed=cover.provenance.seed)
    if composition is None:
        return cover
    provenance = replace(cover.provenance, title=kind, painted_size=side)
    return Cover(pixels=composition.drawn(), provenance=provenance)


def note_untitled(cover: Cover, album: Album, options: PaintOptions, emit: Emit) -> None:
    """Report a cover on which `titled` could set no title."""
    if cover.provenance.title == "none" != options.preset.sampling.title:
        emit(Untitled(album=album))


def _title(album: Album) -> str:
    tagged = any(album.title in (track.album, track.title) for track in album.tracks)
    return album.title if tagged else album.title.replace("_", " ")
