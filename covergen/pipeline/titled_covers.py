"""Paint covers with their titles: what every job that paints has in common."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from covergen.core.album import Album, AlbumEmbedding, AlbumPlan
from covergen.core.cover import Cover
from covergen.pipeline.engines import paint_plans
from covergen.pipeline.events import CheckInterrupted, Emit, Untitled

if TYPE_CHECKING:
    from covergen.pipeline.options import PaintOptions
    from covergen.pipeline.painting import Seeds
    from covergen.pipeline.session import Session
    from covergen.pipeline.time_estimate import Meter

Encoded = TypeVar("Encoded")

_SIDE = 1024  # pixels; smaller type would be blurred


class TitledCover(NamedTuple, Generic[Encoded]):
    """A painted cover with its title, if it has one, and what `encode` made of it."""

    embedding: AlbumEmbedding
    cover: Cover
    encoded: Encoded


def titled_covers(
    plans: Iterator[AlbumPlan],
    options: PaintOptions,
    session: Session,
    *,
    seeds: Seeds,
    meter: Meter,
    encode: Callable[[Cover, Cover], Encoded],
    emit: Emit,
    check_interrupted: CheckInterrupted,
) -> Generator[TitledCover[Encoded]]:
    """Yield the covers of the plans, one for each seed of an album, in order.

    `encode` is called in threads with each cover, and with the same cover without its title. The
    threads use the session: close the iterator before the session. Raises what `paint_plans` does.
    """

    def finish(embedding: AlbumEmbedding, painting: Cover) -> TitledCover[Encoded]:
        cover = _titled(painting, embedding.plan.album, options)
        return TitledCover(embedding, cover, encode(cover, painting))

    painted = paint_plans(
        plans,
        options,
        session.store,
        seeds=seeds,
        meter=meter,
        then=finish,
        emit=emit,
        check_interrupted=check_interrupted,
    )
    with closing(painted):
        for one in painted:
            if one.cover.provenance.title == "none" != options.preset.sampling.title:
                emit(Untitled(album=one.embedding.plan.album))
            yield one


def _titled(cover: Cover, album: Album, options: PaintOptions) -> Cover:
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


def _title(album: Album) -> str:
    tagged = any(album.title in (track.album, track.title) for track in album.tracks)
    return album.title if tagged else album.title.replace("_", " ")
