"""The last stage: write a cover to the files of an album."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.audio.same_sound import same_sound
from covergen.core.album import Action, Album, AlbumEmbedding, AlbumPlan, Outcome, Status, Track
from covergen.core.atomic_write import remove_stale
from covergen.core.cover import Cover, Provenance
from covergen.core.cover_encoding import encode
from covergen.core.errors import TagError
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.library.containers import most_shown_bytes
from covergen.library.pictures_in_files import covers_of
from covergen.library.writing.rewrite import write_cover
from covergen.library.writing.sidecar import write_sidecar
from covergen.pipeline.events import AlbumDone, Emit, FileFailed

if TYPE_CHECKING:
    from covergen.journal.recorder import RunRecorder
    from covergen.library.writing.change import Record
    from covergen.pipeline.options import WriteOptions

    OnWritten = Callable[[Track], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """How covers are written.

    `on_written` is called with each track, as it was scanned, whose file has been replaced. If
    `run` is None, nothing is recorded in the journal.
    """

    options: WriteOptions
    on_written: OnWritten
    run: RunRecorder | None


def encoded(cover: Cover, options: WriteOptions) -> tuple[Picture, Picture]:
    """Encode a cover: the picture for the tracks, and the one for the cover file."""
    embedded, beside = options.encodings
    if not options.sidecar or embedded == beside:
        picture = encode(cover, embedded)
        return picture, picture
    large = encode(cover, beside)
    return encode(cover, embedded) if options.embed else large, large


def cleaned(plans: Iterable[AlbumPlan | Outcome]) -> Iterator[AlbumPlan | Outcome]:
    """Pass plans on; before a folder's first album, remove what a killed run left in the folder."""
    clean: set[Path] = set()
    for plan in plans:
        if not isinstance(plan, Outcome):
            folders = {plan.album.folder, *(track.path.parent for track in plan.album.tracks)}
            for folder in folders - clean:
                remove_stale(folder)
            clean = folders
        yield plan


def left_to_paint(
    plans: Iterable[AlbumPlan | Outcome], writer: Writer, emit: Emit
) -> Iterator[AlbumPlan]:
    """Yield the plans to paint; finish those that need no painting. Raises JournalError."""
    for plan in plans:
        if isinstance(plan, Outcome):
            emit(FileFailed(outcome=plan))
        elif plan.action is Action.PAINT:
            if writer.run:  # fail before the model is loaded
                writer.run.check_writable()
            yield plan
        elif plan.action is Action.FILL:
            emit(fill_album(plan, writer))
        else:
            emit(AlbumDone(plan=plan, reason=plan.reason))


def write_album(
    plan: AlbumPlan,
    picture: Picture,
    provenance: Provenance,
    writer: Writer,
    *,
    beside: Picture | None = None,
    undecoded: tuple[Outcome, ...] = (),
) -> AlbumDone:
    """Write a painted cover into an album's tracks, beside them, or both.

    `beside` is the cover file's picture, if it is another one. `undecoded` tracks are skipped:
    audio that cannot be decoded cannot be verified either. Raises JournalError.
    """
    record = writer.run.record(plan.album, provenance) if writer.run else None
    skipped = {outcome.path for outcome in undecoded}
    outcomes = list(undecoded)
    if writer.options.embed:
        decodable = (track for track in plan.targets if track.path not in skipped)
        outcomes += [_write(track, picture, writer, record) for track in decodable]
    if writer.options.sidecar:
        outcomes.append(_write_sidecar(plan.album, beside or picture, record))
    return _done(plan, outcomes, writer, provenance, undecoded)


def write_beside(
    embedding: AlbumEmbedding,
    picture: Picture,
    provenance: Provenance,
    writer: Writer,
    *,
    name: str,
) -> AlbumDone:
    """Write a picture file of this name into an album's folder, unless there is one.

    Raises JournalError.
    """
    plan, undecoded = embedding.plan, embedding.undecoded
    record = writer.run.record(plan.album, provenance) if writer.run else None
    outcome = write_sidecar(plan.album.folder, picture, name=name, record=record)
    return _done(plan, [*undecoded, outcome], writer, provenance, undecoded)


def fill_album(plan: AlbumPlan, writer: Writer) -> AlbumDone:
    """Copy the picture that an album already has to the tracks that lack it.

    If an interrupted run painted it, a missing cover file is written too. Raises JournalError.
    """
    album = plan.album
    record = writer.run.record(album) if writer.run else None
    try:
        picture = _existing_picture(album)
    except TagError as error:
        outcomes = [Outcome.of_error(error)]
    else:
        outcomes = [_write(track, picture, writer, record) for track in plan.targets]
        resumed = plan.reason is Reason.RESUMED
        if resumed and writer.options.can_copy_beside and album.cover_file is None:
            outcomes.append(_write_sidecar(album, picture, record))
    return _done(plan, outcomes, writer)


def is_complete(outcomes: Sequence[Outcome], undecoded: Sequence[Outcome]) -> bool:
    """Whether nothing failed except the tracks that cannot be decoded."""
    return sum(outcome.status is Status.FAILED for outcome in outcomes) == len(undecoded)


def _write(track: Track, picture: Picture, writer: Writer, record: Record | None) -> Outcome:
    outcome = write_cover(
        track, picture, same_sound=same_sound, options=writer.options.rewrite, record=record
    )
    if outcome.status is Status.WRITTEN:
        writer.on_written(track)
    return outcome


def _write_sidecar(album: Album, picture: Picture, record: Record | None) -> Outcome:
    if album.shares_folder:
        return Outcome.skipped(album.folder, Reason.SHARED_FOLDER)
    return write_sidecar(album.folder, picture, record=record)


def _done(
    plan: AlbumPlan,
    outcomes: Sequence[Outcome],
    writer: Writer,
    provenance: Provenance | None = None,
    undecoded: Sequence[Outcome] = (),
) -> AlbumDone:
    if writer.run:
        failed = sum(outcome.status is Status.FAILED for outcome in outcomes)
        complete = is_complete(outcomes, undecoded)
        writer.run.finish_album(plan.album, failed=failed, complete=complete)
    return AlbumDone(plan=plan, reason=plan.reason, outcomes=tuple(outcomes), provenance=provenance)


def _existing_picture(album: Album) -> Picture:
    """Return the first of the album's covers that is a readable image.

    Tracks that may hold only a smaller copy of the cover come last.
    """
    tracks = sorted(album.tracks, key=lambda track: most_shown_bytes(track.container) is not None)
    for data in covers_of(replace(album, tracks=tuple(tracks))):
        with suppress(ValueError):
            return Picture.parse(data)
    raise TagError(album.folder, "none of its pictures can be read")
