"""Paint a library's covers into a folder to be looked at, and touch no music file."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.audio.store import EmbeddingStore
from covergen.core.errors import CovergenError, UsageError
from covergen.core.picture import Encoding
from covergen.core.reasons import Reason
from covergen.core.types import Action, Outcome, Status
from covergen.journal.lock import library_lock
from covergen.library.scanning.scan_cache import ScanMemory
from covergen.pipeline.estimate import Meter, rates_key
from covergen.pipeline.events import AlbumDone, FileFailed
from covergen.pipeline.painting import paint_plans
from covergen.pipeline.planning import plan_library
from covergen.preview.album_entry import (
    album_id,
    candidate_seed,
    file_stem,
    planned_album,
    roots_of,
    same_music,
)
from covergen.preview.choices import read_choices
from covergen.preview.folder import COVERS, keep_cover, keep_excerpt, open_preview, tidy
from covergen.preview.manifest import Candidate
from covergen.preview.page import make_page, make_sheets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from covergen.core.types import Album, AlbumEmbedding, AlbumPlan, Cover, Provenance, Track
    from covergen.pipeline.events import Checkpoint, Emit, Event
    from covergen.pipeline.options import PreviewOptions
    from covergen.preview.manifest import PlanFile, PlannedAlbum

__all__ = ["preview"]


def preview(options: PreviewOptions, emit: Emit, checkpoint: Checkpoint) -> None:
    """Paint what is missing in a preview, and lay it out to be looked at.

    Each cover is kept as soon as it is there, and is on the page also where the job is stopped.
    Raises UsageError for a folder or choices that cannot be used, BusyError, ModelError,
    WriteError, and Interrupted when `checkpoint` says so.
    """
    with (
        library_lock("tag --preview", (options.folder,)),
        closing(open_preview(options)) as plan,
    ):
        painting = _Painting(options, plan, emit)
        try:
            _paint(painting, options, checkpoint)
        except CovergenError:
            make_page(options.folder, plan)  # a sheet of thousands would keep the user waiting
            raise
        painting.finish()
        tidy(options.folder, plan)
        make_page(options.folder, plan)
        make_sheets(options.folder, plan)


def _paint(painting: _Painting, options: PreviewOptions, checkpoint: Checkpoint) -> None:
    paint = options.tag.paint
    meter = Meter()
    with closing(ScanMemory()) as memory, closing(EmbeddingStore()) as store:
        painted = paint_plans(
            painting.to_paint(plan_library(options.tag.plan, memory, checkpoint)),
            paint,
            store,
            seeds_of=painting.seeds_of,
            meter=meter,
            emit=painting.note,
            checkpoint=checkpoint,
        )
        with closing(painted):  # nothing uses the store after that
            for embedding, cover in painted:
                meter.cover_bytes += painting.keep(embedding, cover)
        meter.save(rates_key(paint, Encoding(size=paint.size)), heard=store.saved)


class _Painting:
    """One run of a preview: which covers its albums lack, and where those go."""

    def __init__(self, options: PreviewOptions, plan: PlanFile, emit: Emit) -> None:
        self._options = options
        self._plan = plan
        self._emit = emit
        self._roots = roots_of(options.tag.plan.paths)
        self._marked: frozenset[str] | None = None
        self._outdated: frozenset[str] = frozenset()
        self._retry = ""
        if options.retry:
            choices = read_choices(options.retry, preview=plan.header.preview, seeds=plan.seeds)
            self._retry = choices.name
            self._outdated = frozenset(filter(self._is_of_others, choices.outdated))
            self._marked = choices.retried - self._outdated
            if not self._marked:
                raise UsageError(
                    f"{options.retry} marks no album for another try"
                    f"{' that was not painted again since' if self._outdated else ''}."
                )
        self._seen: set[str] = set()
        self._waiting: dict[str, tuple[PlannedAlbum, list[int]]] = {}

    def to_paint(self, plans: Iterable[AlbumPlan | Outcome]) -> Iterator[AlbumPlan]:
        """Write the plan down, and hand on the albums that lack covers."""
        for plan in plans:
            if isinstance(plan, Outcome):
                if self._marked is None:
                    self._emit(FileFailed(outcome=plan))
                continue
            album = planned_album(plan, self._roots)
            if self._marked is not None and album.id not in self._marked:
                if album.id in self._outdated:
                    skipped = replace(plan, action=Action.SKIP, reason=Reason.REPAINTED, targets=())
                    self._emit(AlbumDone(plan=skipped, reason=skipped.reason))
                continue
            self._seen.add(album.id)
            if plan.action is not Action.PAINT:
                if plan.reason is not Reason.LIMIT or self._plan.find(album.id) is None:
                    self._put(album)
                self._emit(AlbumDone(plan=plan, reason=plan.reason))
                continue
            begun, numbers = self._begun(album)
            if numbers:
                self._waiting[album.id] = begun, numbers
                yield plan
            else:
                self._put(self._with_excerpt(begun, plan.album.tracks))
                self._emit(AlbumDone(plan=plan, reason=Reason.KEPT))

    def seeds_of(self, album: Album) -> tuple[int, ...]:
        """The seeds of the candidates that an album lacks."""
        _, numbers = self._waiting[album_id(album, self._roots)]
        seed = self._options.tag.seed
        return tuple(candidate_seed(album.key, seed, number) for number in numbers)

    def keep(self, embedding: AlbumEmbedding, cover: Cover) -> int:
        """Keep the next cover of an album, and return its size in bytes. Raises WriteError."""
        album = embedding.plan.album
        begun, numbers = self._waiting.pop(album_id(album, self._roots))
        number = numbers.pop(0)
        path = keep_cover(self._options.folder, f"{file_stem(begun)}-{number + 1}", cover)
        new = Candidate(number=number, seed=cover.provenance.seed, cover=path.name)
        unheard = {outcome.path for outcome in embedding.unheard}
        tracks = tuple(
            replace(planned, target=planned.target and track.path not in unheard)
            for planned, track in zip(begun.tracks, album.tracks, strict=True)
        )
        candidates = sorted((*begun.candidates, new), key=lambda candidate: candidate.number)
        begun = replace(begun, tracks=tracks, candidates=tuple(candidates))
        heard = [track for track in album.tracks if track.path not in unheard]
        self._put(self._with_excerpt(begun, heard))
        if numbers:
            self._waiting[begun.id] = begun, numbers
        else:
            self._done(embedding, begun, cover.provenance)
        return path.stat().st_size

    def note(self, event: Event) -> None:
        """Write down that nothing of an album could be heard; hand on every event."""
        if isinstance(event, AlbumDone) and event.reason is Reason.NOTHING_HEARD:
            begun, _ = self._waiting.pop(album_id(event.plan.album, self._roots))
            silent = replace(begun, action=Action.SKIP, reason=Reason.NOTHING_HEARD, candidates=())
            self._put(silent)
        self._emit(event)

    def finish(self) -> None:
        """Forget the albums that there are no more; of those to be retried, tell it."""
        if self._marked is None:
            if self._seen:  # else the library may just not be mounted
                self._plan.compact(self._seen)
            return
        for album in map(self._plan.find, sorted(self._marked - self._seen)):
            if album:
                gone = Outcome(
                    path=Path(album.folder or album.title),
                    status=Status.FAILED,
                    reason=Reason.CHANGED,
                    message="the album is not there any more as it was previewed",
                )
                self._emit(FileFailed(outcome=gone))

    def _is_of_others(self, album: str) -> bool:
        """Whether it was not this very retry that painted an album last."""
        known = self._plan.find(album)
        return known is None or known.retry != self._retry

    def _begun(self, album: PlannedAlbum) -> tuple[PlannedAlbum, list[int]]:
        """An album with the covers that it has, and the numbers of those that it lacks."""
        known = self._plan.find(album.id)
        if known is None or not same_music(known, album):
            self._put(album)
        elif self._marked is not None and known.retry != self._retry:
            album = replace(
                album,
                excerpt=known.excerpt,
                tries=known.tries + 1,
                first=1 + max((one.number for one in known.candidates), default=known.first - 1),
                retry=self._retry,
            )
        else:
            covers = self._options.folder / COVERS
            kept = (one for one in known.candidates if (covers / one.cover).is_file())
            album = replace(known, candidates=tuple(kept))
        there = {candidate.number for candidate in album.candidates}
        wanted = range(album.first, album.first + self._options.candidates)
        return album, [number for number in wanted if number not in there]

    def _with_excerpt(self, album: PlannedAlbum, tracks: Sequence[Track]) -> PlannedAlbum:
        if album.excerpt or not self._options.audio:
            return album
        name = keep_excerpt(self._options.folder, file_stem(album), tracks[0].path)
        return replace(album, excerpt=name)

    def _put(self, album: PlannedAlbum) -> None:
        if self._plan.find(album.id) != album:
            self._plan.put(album)

    def _done(self, embedding: AlbumEmbedding, album: PlannedAlbum, provenance: Provenance) -> None:
        folder = self._options.folder / COVERS
        made = (
            Outcome(path=folder / one.cover, status=Status.WRITTEN, reason=Reason.MADE)
            for one in album.candidates
        )
        plan = embedding.plan
        self._emit(
            AlbumDone(
                plan=plan,
                reason=plan.reason,
                outcomes=(*embedding.unheard, *made),
                provenance=provenance if len(album.candidates) == 1 else None,
            )
        )
