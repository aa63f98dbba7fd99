"""From a picture to the files of an album: the last stage."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from covergen.audio.digest import audio_digest
from covergen.core.errors import TagError
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.core.types import Outcome, Status
from covergen.jobs.events import AlbumDone
from covergen.library.pictures import FRONT_COVER, ICONS, EmbeddedPicture, read_pictures
from covergen.library.rewrite import write_cover
from covergen.library.sidecar import write_sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from covergen.core.types import Album, AlbumEmbedding, AlbumPlan, Provenance, Track
    from covergen.jobs.options import WriteOptions

    OnWritten = Callable[[Track], None]

__all__ = ["OnWritten", "fill_album", "write_album"]


def write_album(
    embedding: AlbumEmbedding,
    picture: Picture,
    provenance: Provenance,
    options: WriteOptions,
    on_written: OnWritten,
) -> AlbumDone:
    """Put a painted cover into the tracks that were heard, and where asked, beside them.

    A track whose audio cannot be decoded cannot be verified either, and is left alone.
    `on_written` is called with each track, as it was scanned, whose file is a new one now.
    """
    plan = embedding.plan
    unheard = {outcome.path for outcome in embedding.unheard}
    outcomes = list(embedding.unheard)
    if options.embed:
        heard = (track for track in plan.targets if track.path not in unheard)
        outcomes += [_write(track, picture, options, on_written) for track in heard]
    if options.sidecar:
        outcomes.append(_write_beside(plan.album, picture))
    return AlbumDone(plan=plan, reason=plan.reason, outcomes=tuple(outcomes), provenance=provenance)


def fill_album(plan: AlbumPlan, options: WriteOptions, on_written: OnWritten) -> AlbumDone:
    """Put the picture that an album already has into its tracks that lack it."""
    try:
        picture = _existing_picture(plan.album)
    except TagError as error:
        outcomes = [Outcome.of_error(error)]
    else:
        outcomes = [_write(track, picture, options, on_written) for track in plan.targets]
    return AlbumDone(plan=plan, reason=plan.reason, outcomes=tuple(outcomes))


def _write(track: Track, picture: Picture, options: WriteOptions, on_written: OnWritten) -> Outcome:
    outcome = write_cover(track, picture, audio_digest=audio_digest, options=options.rewrite)
    if outcome.status is Status.WRITTEN:
        on_written(track)
    return outcome


def _write_beside(album: Album, picture: Picture) -> Outcome:
    if album.shares_folder:
        return Outcome(path=album.folder, status=Status.SKIPPED, reason=Reason.SHARED_FOLDER)
    return write_sidecar(album.folder, picture)


def _existing_picture(album: Album) -> Picture:
    """The first of the album's own covers that can be read."""
    for data in _existing_covers(album):
        with suppress(ValueError):
            return Picture.parse(data)
    raise TagError(album.folder, "none of its pictures can be read")


def _existing_covers(album: Album) -> Iterator[bytes]:
    for track in album.tracks:
        if track.has_art:
            with suppress(TagError):
                pictures = read_pictures(track.path, track.container)
                yield from (picture.data for picture in sorted(pictures, key=_rank)[:1])
    if album.cover_file is not None:
        with suppress(OSError):
            yield album.cover_file.read_bytes()


def _rank(picture: EmbeddedPicture) -> tuple[bool, bool]:
    """Players show the front cover, else the first that is no icon."""
    return picture.kind != FRONT_COVER, picture.kind in ICONS
