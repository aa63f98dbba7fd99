"""Tracks with one output file each, for `generate` and `embed`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.album import Action, Album, AlbumPlan, Outcome
from covergen.core.atomic_write import remove_stale, write_whole
from covergen.core.errors import ItemError, UsageError
from covergen.core.os_errors import write_errors
from covergen.core.reasons import Reason
from covergen.library.scanning.playlist import is_playlist, scan_playlist
from covergen.library.scanning.scan import ScanOptions, path_below, scan
from covergen.pipeline.events import AlbumDone, CheckInterrupted, Emit, FileFailed

if TYPE_CHECKING:
    from covergen.library.scanning.scan_cache import ScanCache


@dataclass(slots=True, kw_only=True)
class TrackOutputs:
    """Assigns one output file to each track below `paths`, and for pictures to each playlist.

    `output` is a folder, or for a single track a file name that ends in `suffix`. A track found in
    a folder of `paths` keeps its subfolders. Tracks that differ only in their extension keep it:
    `song.mp3.pt` beside `song.pt`. Existing outputs are kept unless `force` is set.
    """

    paths: tuple[Path, ...]
    output: Path
    suffix: str
    action: Action = Action.PAINT
    force: bool = False
    scan: ScanOptions = field(default_factory=lambda: ScanOptions(per="track"))
    _waiting: dict[tuple[str, Path], list[Path]] = field(default_factory=dict)
    _taken: set[Path] = field(default_factory=set)
    _cleaned: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.output.is_file() and not self._is_one_file():
            raise UsageError(
                f"{self.output} is a file: pass a folder, or a file name ending in {self.suffix}."
            )
        above = next(folder for folder in self.output.absolute().parents if folder.exists())
        parent = self.output if self.output.is_dir() else above
        if not parent.is_dir():
            raise UsageError(f"{self.output} cannot be written: {parent} is a file.")
        if not os.access(parent, os.W_OK):
            raise UsageError(f"{self.output} cannot be written: {parent} is read-only.")

    def plans(
        self, scan_cache: ScanCache, emit: Emit, check_interrupted: CheckInterrupted
    ) -> Iterator[AlbumPlan]:
        """Yield one plan for each track whose output is to be written."""
        for source, album in self._albums(scan_cache, check_interrupted):
            if isinstance(album, Outcome):
                emit(FileFailed(outcome=album))
                continue
            output = self._name(source or album.tracks[0].path)
            if output.exists() and not self.force:
                plan = AlbumPlan.skip(album, Reason.OUTPUT_EXISTS)
                emit(AlbumDone(plan=plan, reason=plan.reason))
                continue
            # Copies of a playlist have the same identity, and are written in the same order.
            self._waiting.setdefault(_identity(album), []).append(output)
            yield AlbumPlan(
                album=album, action=self.action, reason=Reason.ASKED, targets=album.tracks
            )

    def _albums(
        self, scan_cache: ScanCache, check_interrupted: CheckInterrupted
    ) -> Iterator[tuple[Path | None, Album | Outcome]]:
        """Yield playlists with their files, then single tracks."""
        options = replace(self.scan, bare=True)  # tracks are only read, so any container will do
        paints = self.action is Action.PAINT
        playlists = [path for path in self.paths if paints and is_playlist(path)]
        for playlist in playlists:
            found = scan_playlist(
                playlist, options, scan_cache, check_interrupted=check_interrupted
            )
            yield from ((playlist, album) for album in found)
        paths = [path for path in self.paths if path not in playlists]
        tracks = scan(paths, options, scan_cache, check_interrupted=check_interrupted)
        yield from ((None, album) for album in tracks)

    def write(self, plan: AlbumPlan, data: bytes) -> Outcome:
        """Write the output of a planned track atomically."""
        output = self._waiting[_identity(plan.album)].pop(0)
        try:
            with write_errors(output):
                output.parent.mkdir(parents=True, exist_ok=True)
                if output.parent not in self._cleaned:
                    remove_stale(output.parent)  # left behind by a killed run
                    self._cleaned.add(output.parent)
                write_whole(output, data)
        except ItemError as error:
            return Outcome.of_error(error)
        return Outcome.written(output, Reason.MADE)

    def _name(self, track: Path) -> Path:
        if self._is_one_file():
            return self.output
        folder = self.output / path_below(track, self.paths).parent
        numbered = (f"{track.name}-{n}" for n in range(2, 1_000_000))
        for name in chain((track.stem, track.name), numbered):
            output = folder / f"{name}{self.suffix}"
            if output not in self._taken:
                break
        self._taken.add(output)
        return output

    def _is_one_file(self) -> bool:
        if self.output.suffix.lower() != self.suffix or self.output.is_dir():
            return False
        if len(self.paths) > 1 or self.paths[0].is_dir():
            raise UsageError(
                f"{self.output} is one file, but there may be several tracks: pass a folder."
            )
        return True


def _identity(album: Album) -> tuple[str, Path]:
    return album.key, album.tracks[0].path
