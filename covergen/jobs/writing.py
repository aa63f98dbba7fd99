"""From a picture to the files of an album: the last stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from covergen.audio.digest import audio_digest
from covergen.core.errors import TagError
from covergen.core.picture import Encoding, Picture
from covergen.core.types import Outcome, Status
from covergen.jobs.events import AlbumDone
from covergen.library.pictures import FRONT_COVER, ICONS, EmbeddedPicture, read_pictures
from covergen.library.rewrite import RewriteOptions, write_cover
from covergen.library.sidecar import write_sidecar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from covergen.core.types import Album, AlbumEmbedding, AlbumPlan, Provenance, Track

    OnWritten = Callable[[Track], None]

__all__ = ["WriteOptions", "fill_album", "write_album"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """Where a cover goes: into the tracks (`embed`), beside them (`sidecar`), or both."""

    embed: bool = True
    sidecar: bool = False
    encoding: Encoding = field(default_factory=Encoding)
    rewrite: RewriteOptions = field(default_factory=RewriteOptions)


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
    if options.sidecar and not plan.album.shares_folder:
        outcomes.append(write_sidecar(plan.album.folder, picture))
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


def _existing_picture(album: Album) -> Picture:
    """The album's own front cover: out of a track, else the cover file beside them."""
    source, data = _existing_bytes(album)
    try:
        return Picture.parse(data)
    except ValueError as error:
        raise TagError(source, f"its cover cannot be used: {error}") from error


def _existing_bytes(album: Album) -> tuple[Path, bytes]:
    for track in album.tracks:
        if track.has_art:
            pictures = read_pictures(track.path, track.container)
            return track.path, _front(pictures).data
    if album.cover_file is None:
        raise TagError(album.folder, "no picture to fill from")
    try:
        return album.cover_file, album.cover_file.read_bytes()
    except OSError as error:
        raise TagError(album.cover_file, f"cannot be read: {error.strerror}") from error


def _front(pictures: list[EmbeddedPicture]) -> EmbeddedPicture:
    """The picture that players show: the front cover, else the first that is no icon."""
    return min(pictures, key=lambda picture: (picture.kind != FRONT_COVER, picture.kind in ICONS))
