"""A preview after it was looked at: what was chosen, and whether the library is still the same."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.errors import ItemError, UsageError, WriteError
from covergen.core.os_errors import write_errors
from covergen.core.picture import decode
from covergen.core.reasons import Reason
from covergen.core.safe_path import inside
from covergen.core.types import Action, Album, AlbumPlan, Outcome, Status, Track
from covergen.library.scanning.cover_files import find_cover_file
from covergen.library.scanning.cover_names import CoverNames
from covergen.library.tags import read_track
from covergen.library.writing.sidecar import is_own_file
from covergen.preview.choices import Choices, read_choices
from covergen.preview.folder import COVERS
from covergen.preview.manifest import PlanFile
from covergen.preview.origins import recall_origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from covergen.core.types import Cover
    from covergen.pipeline.events import Checkpoint
    from covergen.pipeline.options import ApplyOptions
    from covergen.preview.manifest import Candidate, PlannedAlbum, PlannedTrack

__all__ = ["Review", "Reviewed"]

_BARE = (Reason.NO_COVER, Reason.BROKEN_COVER)
_MOST_BYTES = 1 << 26  # no PNG of the largest cover is larger


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """An album as it would be written now.

    `outcomes` are of the files that are left alone. `candidate` is None where no cover is written.
    `folders`: where its files lie.
    """

    plan: AlbumPlan
    outcomes: tuple[Outcome, ...] = ()
    candidate: Candidate | None = None
    folders: frozenset[Path] = frozenset()


class Review:
    """A preview with the choices made of it, held against its library."""

    def __init__(self, options: ApplyOptions) -> None:
        """Raises UsageError without a preview or its library, SettingsError for bad choices."""
        self._folder = options.folder
        self._embeds, self._writes_beside = options.write.embed, options.write.sidecar
        self._names = CoverNames(options.cover_names)
        self._plan = PlanFile(options.folder)
        self.preview = self._plan.header.preview
        try:
            self.roots = _roots(self._plan, options)
            self._choices = _choices(self._plan, options.choices)
            _check_library(self._plan, options.folder, self.roots)
            self._reach = (*self.roots, Path(os.sep)) if options.follow_symlinks else self.roots
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the plan."""
        self._plan.close()

    def damage(self) -> Iterator[Outcome]:
        """What cannot be read of the plan."""
        if lines := self._plan.damaged:
            some = ", ".join(map(str, lines[:5])) + (" …" if len(lines) > 5 else "")
            yield Outcome(
                path=self._plan.path,
                status=Status.FAILED,
                reason=Reason.UNREADABLE,
                message=f"damaged in {len(lines)} of its lines ({some}); those albums are left out",
            )

    def albums(self, checkpoint: Checkpoint) -> Iterator[Reviewed]:
        """Each album as it would be written now. Raises what `checkpoint` raises."""
        for album in self._plan:
            checkpoint()
            yield self._review(album)

    def cover(self, album_key: str, candidate: Candidate) -> Cover:
        """Read a cover of an album. Raises WriteError where it is not what was painted."""
        name = f"{COVERS}/{candidate.cover}"
        path = self._folder / name
        try:
            with write_errors(path):
                cover = decode(_read(inside(self._folder, name)))
            if cover.provenance.album_key != album_key:
                raise ValueError("it was painted for another album")
            if cover.provenance.seed != candidate.seed:
                raise ValueError("it was painted from another seed")
        except (ValueError, WriteError) as error:
            text = error.message if isinstance(error, WriteError) else str(error)
            hint = "run the preview again: it paints what is missing"
            raise WriteError(path, Reason.UNFIT_COVER, text, hint=hint) from error
        return cover

    def _review(self, planned: PlannedAlbum) -> Reviewed:
        root = self.roots[planned.root]
        try:
            folder = inside(root, planned.folder, also=self._reach) if planned.folder else root
        except ValueError as error:
            outcome = _failed(root / planned.folder, Reason.OUTSIDE, str(error))
            return _left_alone(_album(planned, root / planned.folder, root), (outcome,))
        album = _album(planned, folder, root)
        candidate = self._chosen(planned)
        if isinstance(candidate, Reason):
            return _skipped(album, candidate)
        if planned.reason in _BARE and self._has_foreign_cover(album):
            return _skipped(album, Reason.HAS_ART)
        wanted = [track for track in planned.tracks if track.target]
        # Without targets, a cover file may still be written; the music must be the same for that.
        found = [self._look(root, track) for track in wanted or planned.tracks]
        targets = tuple(one for one in found if isinstance(one, Track)) if wanted else ()
        outcomes = tuple(one for one in found if isinstance(one, Outcome))
        outside = {one.path for one in outcomes if one.reason is Reason.OUTSIDE}
        places = {one.path.parent for one in found if one.path not in outside}
        folders = frozenset((folder, *places))
        if not targets and not (candidate and self._lacks_file_beside(album, outcomes)):
            return replace(_left_alone(album, outcomes), folders=folders)
        if candidate:
            action = Action.WRITE
        else:
            action = Action.FILL
            album = self._with_covers(album, root, planned)
        plan = AlbumPlan(album=album, action=action, reason=planned.reason, targets=targets)
        return Reviewed(plan=plan, outcomes=outcomes, candidate=candidate, folders=folders)

    def _lacks_file_beside(self, album: Album, outcomes: tuple[Outcome, ...]) -> bool:
        """Whether only the file beside is missing: after a run was stopped, or of bare tracks."""
        may_write = self._writes_beside and not album.shares_folder
        lacks = may_write and find_cover_file(album, self._names) is None
        return lacks and all(map(_holds_own, outcomes))

    def _has_foreign_cover(self, album: Album) -> bool:
        """Whether a cover file lies beside the tracks, and is not from an earlier run of this."""
        cover = find_cover_file(album, self._names)
        return cover is not None and not is_own_file(cover)

    def _with_covers(self, album: Album, root: Path, planned: PlannedAlbum) -> Album:
        """An album of only the tracks whose own covers may be spread over the others."""
        found = [self._look(root, track) for track in planned.tracks if not track.target]
        tracks = tuple(one for one in found if isinstance(one, Track))
        cover_file = None
        if planned.cover_file:
            with suppress(ValueError):
                cover_file = inside(root, planned.cover_file, also=self._reach)
        return replace(album, tracks=tracks, cover_file=cover_file)

    def _chosen(self, planned: PlannedAlbum) -> Candidate | Reason | None:
        """The cover to be written, None where the album's own is to be spread, or why none is."""
        if planned.id in self._choices.outdated:
            return Reason.REPAINTED
        if planned.id in self._choices.rejected:
            return Reason.REJECTED
        if planned.id in self._choices.retried:
            retried = planned.retry == self._choices.name
            return Reason.REPAINTED if retried else Reason.RETRY
        if planned.action is Action.PAINT:
            number = self._choices.chosen.get(planned.id, 1)
            return planned.candidates[number - 1] if planned.candidates else Reason.NOT_PAINTED
        if planned.action is Action.FILL:
            return None if self._embeds else Reason.PARTIAL_ART
        return planned.reason

    def _look(self, root: Path, planned: PlannedTrack) -> Track | Outcome:
        """A track as its file is now, or why it is left alone."""
        try:
            path = inside(root, planned.path, also=self._reach)
        except ValueError as error:
            return _failed(root / planned.path, Reason.OUTSIDE, str(error))
        try:
            with write_errors(path):
                status = path.stat()
                if not stat.S_ISREG(status.st_mode):
                    raise WriteError(path, Reason.CHANGED, "it is no regular file any more")
                track = read_track(path, status)
        except ItemError as error:
            return Outcome.of_error(error)
        same = (track.size, track.mtime_ns) == (planned.size, planned.mtime_ns)
        if track.has_art and (not planned.has_art or (track.own_art and not same)):
            return Outcome(path=path, status=Status.SKIPPED, reason=Reason.HAS_ART)
        if not same:
            message = "its size or time is not that of the preview any more"
            hint = "preview it again, or let covergen tag paint it"
            return _failed(path, Reason.CHANGED, f"{message}: {hint}")
        return track


def _roots(plan: PlanFile, options: ApplyOptions) -> tuple[Path, ...]:
    names = plan.header.roots
    if options.libraries:
        if len(options.libraries) != len(names):
            raise UsageError(
                f"--library is given {len(options.libraries)} times, and {options.folder} is a"
                f" preview of {', '.join(names)}.",
                hint="Give it once for each folder, in this order.",
            )
        return tuple(path.resolve() for path in options.libraries)
    origin = recall_origin(plan.header.preview)
    if origin is None or len(origin.roots) != len(names):
        raise UsageError(
            f"This machine does not know which library {options.folder} is a preview of.",
            hint=f"Name it with --library, the folder that was called {', '.join(names)}.",
        )
    for root in origin.roots:
        if not os.access(root, os.F_OK):
            raise UsageError(
                f"The library that {options.folder} is a preview of is not there: {root}.",
                hint="If it has moved, name it with --library.",
            )
    return origin.roots


def _check_library(plan: PlanFile, folder: Path, roots: tuple[Path, ...]) -> None:
    """Raises UsageError where none of the files lies there: one line instead of one for each."""
    files = (roots[album.root] / track.path for album in plan for track in album.tracks)
    if plan.seeds and not any(map(os.path.lexists, files)):
        raise UsageError(
            f"None of the files that {folder} is a preview of lies in"
            f" {', '.join(map(str, roots))}.",
            hint="Name their folder with --library.",
        )


def _choices(plan: PlanFile, file: Path | None) -> Choices:
    if file is None:
        return Choices()
    return read_choices(file, preview=plan.header.preview, seeds=plan.seeds)


def _album(planned: PlannedAlbum, folder: Path, root: Path) -> Album:
    """An album with its tracks as they were previewed; nobody knows yet what they are now."""
    return Album(
        key=planned.key,
        folder=folder,
        title=planned.title,
        artist=planned.artist,
        date=planned.date,
        tracks=tuple(
            Track(
                path=root / track.path,
                size=track.size,
                mtime_ns=track.mtime_ns,
                container="",
                has_art=track.has_art,
            )
            for track in planned.tracks
        ),
        shares_folder=planned.shares_folder,
    )


def _holds_own(outcome: Outcome) -> bool:
    """Whether a track is left alone because it has a cover of covergen's."""
    if outcome.reason is not Reason.HAS_ART:
        return False
    try:
        return read_track(outcome.path, outcome.path.stat()).own_art
    except (ItemError, OSError):
        return False


def _skipped(album: Album, reason: Reason, *outcomes: Outcome) -> Reviewed:
    plan = AlbumPlan(album=album, action=Action.SKIP, reason=reason)
    return Reviewed(plan=plan, outcomes=outcomes)


def _left_alone(album: Album, outcomes: tuple[Outcome, ...]) -> Reviewed:
    """An album of which no file is written, for the reason that is told first."""
    failed = [outcome for outcome in outcomes if outcome.status is Status.FAILED]
    first = next(iter((*failed, *outcomes)), None)
    return _skipped(album, first.reason if first else Reason.BARE, *outcomes)


def _failed(path: Path, reason: Reason, message: str) -> Outcome:
    return Outcome(path=path, status=Status.FAILED, reason=reason, message=message)


def _read(path: Path) -> bytes:
    """The bytes of a cover, if they can be those of one. Raises OSError, ValueError."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
        raise ValueError("it is no picture file of covergen's")
    return path.read_bytes()
