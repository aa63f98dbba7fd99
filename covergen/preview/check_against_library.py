"""Check a preview and its choices against the library as it is now, before anything is written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.album import Action, Album, AlbumPlan, Outcome, Status, Track
from covergen.core.cover import Cover
from covergen.core.cover_encoding import decode
from covergen.core.errors import ItemError, UsageError, WriteError
from covergen.core.os_errors import write_errors
from covergen.core.reasons import Reason
from covergen.core.safe_path import inside
from covergen.library.read_track import read_track
from covergen.library.scanning.cover_files import find_cover_file
from covergen.library.scanning.cover_globs import CoverGlobs
from covergen.library.writing.sidecar import is_own_file
from covergen.pipeline.events import CheckInterrupted
from covergen.preview.choices import Choices, read_choices
from covergen.preview.folder import COVERS
from covergen.preview.manifest import Manifest
from covergen.preview.origins import recall_origin

if TYPE_CHECKING:
    from covergen.pipeline.options import ApplyOptions
    from covergen.preview.manifest import AlbumEntry, Candidate, TrackEntry


_BARE = (Reason.NO_COVER, Reason.BROKEN_COVER)


class Review:
    """A preview and its choices, compared with the library."""

    def __init__(self, options: ApplyOptions) -> None:
        """Raises UsageError without a preview or library, and SettingsError for invalid choices."""
        self._folder = options.folder
        self._write = options.write
        self._names = CoverGlobs(options.cover_names)
        self._manifest = Manifest(options.folder)
        self.preview = self._manifest.header.preview
        try:
            self.roots = _roots(self._manifest, options)
            self._choices = _choices(self._manifest, options.choices)
            _check_library(self._manifest, options.folder, self.roots)
            self._reach = (*self.roots, Path(os.sep)) if options.follow_symlinks else self.roots
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the manifest."""
        self._manifest.close()

    def damage(self) -> Iterator[Outcome]:
        """Yield a failed Outcome if lines of the manifest are damaged."""
        if lines := self._manifest.damaged:
            first = ", ".join(map(str, lines[:5])) + (" …" if len(lines) > 5 else "")
            yield Outcome.failed(
                self._manifest.path,
                Reason.UNREADABLE,
                f"{len(lines)} damaged lines ({first}); their albums are skipped",
            )

    def albums(
        self, check_interrupted: CheckInterrupted
    ) -> Iterator[tuple[AlbumPlan, Candidate | None]]:
        """Yield what would be done with each album now, and the cover to write, if it is a new one.

        A plan's `hindered` are all files of the preview that would not be written. Raises whatever
        `check_interrupted` raises.
        """
        for entry in self._manifest:
            check_interrupted()
            yield self._review(entry)

    def cover(self, album_key: str, candidate: Candidate) -> Cover:
        """Read a cover of an album. Raises WriteError if it is not the one that was painted."""
        name = f"{COVERS}/{candidate.cover}"
        path = self._folder / name
        try:
            with write_errors(path):
                if not inside(self._folder, name).is_file():
                    raise ValueError("it is missing, or not a file")
                cover = decode(path.read_bytes())
            if cover.provenance.album_key != album_key:
                raise ValueError("it was painted for another album")
            if cover.provenance.seed != candidate.seed:
                raise ValueError("it was painted with another seed")
        except (ValueError, WriteError) as error:
            text = error.message if isinstance(error, WriteError) else str(error)
            hint = "run the preview again to paint missing covers"
            raise WriteError(path, Reason.UNFIT_COVER, text, hint=hint) from error
        return cover

    def _review(self, entry: AlbumEntry) -> tuple[AlbumPlan, Candidate | None]:
        root = self.roots[entry.root]
        try:
            folder = inside(root, entry.folder, also=self._reach) if entry.folder else root
        except ValueError as error:
            album = _album(entry, root / entry.folder, root)
            return _left_alone(
                album, Outcome.failed(album.folder, Reason.OUTSIDE, str(error))
            ), None
        album = _album(entry, folder, root)
        candidate = self._chosen(entry)
        if isinstance(candidate, Reason):
            return _skipped(album, candidate), None
        if entry.reason in _BARE and self._has_foreign_cover(album):
            return _skipped(album, Reason.HAS_ART), None
        wanted = [track for track in entry.tracks if track.target]
        # Without targets, a cover file may still be written; the music must be the same for that.
        found = [self._look(root, track) for track in wanted or entry.tracks]
        targets = tuple(one for one in found if isinstance(one, Track)) if wanted else ()
        outcomes = tuple(one for one in found if isinstance(one, Outcome))
        is_own = candidate is not None or entry.reason is Reason.RESUMED
        may_write = self._write.sidecar if candidate else self._write.can_copy_beside
        if not targets and not (is_own and may_write and self._lacks_cover_file(album, outcomes)):
            return _left_alone(album, *outcomes), None
        action = Action.WRITE if candidate else Action.FILL
        if not candidate:
            album = self._with_covers(album, root, entry)
        plan = AlbumPlan(
            album=album, action=action, reason=entry.reason, targets=targets, hindered=outcomes
        )
        return plan, candidate

    def _lacks_cover_file(self, album: Album, outcomes: tuple[Outcome, ...]) -> bool:
        """Whether only the cover file is missing: an interrupted run, or tracks that hold none."""
        lacks = not album.shares_folder and find_cover_file(album, self._names) is None
        return lacks and all(map(_holds_own, outcomes))

    def _has_foreign_cover(self, album: Album) -> bool:
        """Whether there is a cover file that covergen did not write."""
        cover = find_cover_file(album, self._names)
        return cover is not None and not is_own_file(cover)

    def _with_covers(self, album: Album, root: Path, entry: AlbumEntry) -> Album:
        """Return the album without the tracks whose cover may no longer be copied to the others."""
        found = [self._look(root, track) for track in entry.tracks if track.has_art]
        covered = (one for one in found if isinstance(one, Track))
        tracks = (*covered, *(track for track in album.tracks if not track.has_art))
        cover_file = None
        if entry.cover_file:
            with suppress(ValueError):
                cover_file = inside(root, entry.cover_file, also=self._reach)
        return replace(album, tracks=tracks, cover_file=cover_file)

    def _chosen(self, entry: AlbumEntry) -> Candidate | Reason | None:
        """Return the cover to write, None to copy the album's own, or why nothing is written."""
        if entry.id in self._choices.outdated:
            return Reason.REPAINTED
        if entry.id in self._choices.rejected:
            return Reason.REJECTED
        if entry.id in self._choices.retried:
            retried = entry.retry == self._choices.name
            return Reason.REPAINTED if retried else Reason.RETRY
        if entry.action is Action.PAINT:
            number = self._choices.chosen.get(entry.id, 1)
            return entry.candidates[number - 1] if entry.candidates else Reason.NOT_PAINTED
        if entry.action is Action.FILL:
            return None if self._write.embed else Reason.PARTIAL_ART
        return entry.reason

    def _look(self, root: Path, entry: TrackEntry) -> Track | Outcome:
        """Return a track as its file is now, or why it is not written."""
        try:
            path = inside(root, entry.path, also=self._reach)
        except ValueError as error:
            return Outcome.failed(root / entry.path, Reason.OUTSIDE, str(error))
        try:
            with write_errors(path):
                status = path.stat()
                if not stat.S_ISREG(status.st_mode):
                    raise WriteError(path, Reason.CHANGED, "it is no longer a regular file")
                track = read_track(path, status)
        except ItemError as error:
            return Outcome.of_error(error)
        same = (track.size, track.mtime_ns) == (entry.size, entry.mtime_ns)
        if track.has_art and (not entry.has_art or (track.own_art and not same)):
            return Outcome.skipped(path, Reason.HAS_ART)
        if not same:
            message = "its size or time has changed since the preview"
            hint = "preview it again, or paint it with covergen tag"
            return Outcome.failed(path, Reason.CHANGED, f"{message}: {hint}")
        return track


def _roots(manifest: Manifest, options: ApplyOptions) -> tuple[Path, ...]:
    names = manifest.header.roots
    if options.libraries:
        if len(options.libraries) != len(names):
            raise UsageError(
                f"--library was given {len(options.libraries)} times, but {options.folder} is a"
                f" preview of {', '.join(names)}.",
                hint="Pass it once for each of these folders, in this order.",
            )
        return tuple(path.resolve() for path in options.libraries)
    origin = recall_origin(manifest.header.preview)
    if origin is None or len(origin.roots) != len(names):
        raise UsageError(
            f"This machine does not know which library {options.folder} is a preview of.",
            hint=f"Pass the folder named {', '.join(names)} with --library.",
        )
    for root in origin.roots:
        if not os.access(root, os.F_OK):
            raise UsageError(
                f"The library of the preview {options.folder} does not exist: {root}.",
                hint="If it has moved, pass its new folder with --library.",
            )
    return origin.roots


def _check_library(manifest: Manifest, folder: Path, roots: tuple[Path, ...]) -> None:
    """Raise UsageError if none of the files exists: one error instead of one per file."""
    files = (roots[entry.root] / track.path for entry in manifest for track in entry.tracks)
    if manifest.seeds and not any(map(os.path.lexists, files)):
        raise UsageError(
            f"None of the files of the preview {folder} is in {', '.join(map(str, roots))}.",
            hint="Pass their folder with --library.",
        )


def _choices(manifest: Manifest, file: Path | None) -> Choices:
    if file is None:
        return Choices()
    return read_choices(file, preview=manifest.header.preview, seeds=manifest.seeds)


def _album(entry: AlbumEntry, folder: Path, root: Path) -> Album:
    """Return an album with its tracks as they were previewed, not yet checked."""
    return Album(
        key=entry.key,
        folder=folder,
        title=entry.title,
        artist=entry.artist,
        date=entry.date,
        tracks=tuple(
            Track(
                path=root / track.path,
                size=track.size,
                mtime_ns=track.mtime_ns,
                container="",
                has_art=track.has_art,
            )
            for track in entry.tracks
        ),
        shares_folder=entry.shares_folder,
    )


def _holds_own(outcome: Outcome) -> bool:
    """Whether a track is skipped because it already has a covergen cover."""
    if outcome.reason is not Reason.HAS_ART:
        return False
    try:
        return read_track(outcome.path, outcome.path.stat()).own_art
    except (ItemError, OSError):
        return False


def _skipped(album: Album, reason: Reason, *outcomes: Outcome) -> AlbumPlan:
    return AlbumPlan(album=album, action=Action.SKIP, reason=reason, hindered=outcomes)


def _left_alone(album: Album, *outcomes: Outcome) -> AlbumPlan:
    """Plan an album of which nothing is written; failures take precedence as its reason."""
    failed = [outcome for outcome in outcomes if outcome.status is Status.FAILED]
    first = next(iter((*failed, *outcomes)), None)
    return _skipped(album, first.reason if first else Reason.BARE, *outcomes)
