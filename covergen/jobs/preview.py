"""Paint a library's covers into a preview folder; no music file is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.album import Action, Album, AlbumEmbedding, AlbumPlan, Outcome, Track
from covergen.core.cover import Cover, Provenance
from covergen.core.cover_encoding import Encoding, encode
from covergen.core.errors import CovergenError, UsageError
from covergen.core.reasons import Reason
from covergen.journal.lock import library_lock
from covergen.pipeline.events import AlbumDone, CheckInterrupted, Emit, Event, FileFailed
from covergen.pipeline.painting import Seeds, style_for
from covergen.pipeline.plan_library import plan_library
from covergen.pipeline.session import open_session
from covergen.pipeline.time_estimate import Meter, rates_key
from covergen.pipeline.titled_covers import titled_covers
from covergen.preview.album_entry import (
    album_entry,
    album_id,
    candidate_seeds,
    file_stem,
    roots_of,
    same_music,
)
from covergen.preview.choices import read_choices
from covergen.preview.folder import COVERS, UNTITLED, keep_cover, keep_excerpt, open_preview, tidy
from covergen.preview.manifest import Candidate
from covergen.preview.page.build_page import make_page, make_sheets

if TYPE_CHECKING:
    from covergen.pipeline.options import PreviewOptions
    from covergen.preview.manifest import AlbumEntry, Manifest


def preview(options: PreviewOptions, emit: Emit, check_interrupted: CheckInterrupted) -> None:
    """Paint the covers that a preview lacks, and write its page and contact sheets.

    Each cover is saved as soon as it is painted, and the page shows it even if the job is stopped.
    Raises UsageError for an unusable folder, SettingsError for invalid choices, BusyError,
    ModelError, WriteError, and Interrupted if `check_interrupted` raises it.
    """
    with (
        library_lock("preview", (options.folder,)),
        closing(open_preview(options)) as manifest,
    ):
        painting = _Painting(options, manifest, emit)
        try:
            _paint(painting, options, check_interrupted)
        except CovergenError:
            # No sheets: with thousands of covers, they are too slow.
            make_page(options.folder, manifest.header, manifest)
            raise
        painting.finish()
        tidy(options.folder, manifest)
        make_page(options.folder, manifest.header, manifest)
        make_sheets(options.folder, manifest)


def _paint(
    painting: _Painting, options: PreviewOptions, check_interrupted: CheckInterrupted
) -> None:
    tag = options.tag
    meter = Meter()
    with open_session() as session:
        plans = plan_library(tag.plan, session.scan_cache, check_interrupted)
        covers = titled_covers(
            painting.to_paint(plans),
            tag.paint,
            session,
            seeds=Seeds(run=tag.seed, per=tag.plan.scan.per, of=painting.seeds_of),
            meter=meter,
            encode=_encode,
            emit=painting.note,
            check_interrupted=check_interrupted,
        )
        with closing(covers):
            for embedding, cover, files in covers:
                painting.keep(embedding, cover, files)
                meter.cover_bytes += sum(map(len, files))
        key = rates_key(tag.paint, Encoding(size=tag.paint.size))
        meter.save(key, embedded=session.store.saved)


def _encode(cover: Cover, untitled: Cover) -> list[bytes]:
    """Return the PNG files of a cover: as it is and, if it has a title, without that."""
    pictures = [cover] if cover is untitled else [cover, untitled]
    return [encode(picture, Encoding()).data for picture in pictures]


class _Painting:
    """One run of a preview: which covers its albums lack, and where to save them."""

    def __init__(self, options: PreviewOptions, manifest: Manifest, emit: Emit) -> None:
        self._options = options
        self._manifest = manifest
        self._emit = emit
        self._roots = roots_of(options.tag.plan.paths)
        self._marked: frozenset[str] | None = None
        self._outdated: frozenset[str] = frozenset()
        self._retry = ""
        if options.retry:
            choices = read_choices(
                options.retry, preview=manifest.header.preview, seeds=manifest.seeds
            )
            self._retry = choices.name
            self._outdated = frozenset(filter(self._painted_by_other_retry, choices.outdated))
            self._marked = choices.retried - self._outdated
            if not self._marked:
                raise UsageError(
                    f"{options.retry} marks no album to paint again"
                    f"{' that has not been painted again since' if self._outdated else ''}."
                )
        self._seen: set[str] = set()
        self._waiting: dict[str, tuple[AlbumEntry, list[int]]] = {}

    def to_paint(self, plans: Iterable[AlbumPlan | Outcome]) -> Iterator[AlbumPlan]:
        """Save each album's plan, and yield the plans of albums that lack covers."""
        for plan in plans:
            if isinstance(plan, Outcome):
                if self._marked is None:
                    self._emit(FileFailed(outcome=plan))
                continue
            entry = album_entry(plan, self._roots)
            if self._marked is not None and entry.id not in self._marked:
                if entry.id in self._outdated:
                    skipped = replace(plan, action=Action.SKIP, reason=Reason.REPAINTED, targets=())
                    self._emit(AlbumDone(plan=skipped, reason=skipped.reason))
                continue
            self._seen.add(entry.id)
            if plan.action is not Action.PAINT:
                if plan.reason is not Reason.LIMIT or self._manifest.find(entry.id) is None:
                    self._put(entry)
                self._emit(AlbumDone(plan=plan, reason=plan.reason))
                continue
            entry, numbers = self._continued(entry)
            if numbers:
                self._waiting[entry.id] = entry, numbers
                yield plan
            else:
                self._put(self._with_excerpt(entry, plan.album.tracks))
                self._emit(AlbumDone(plan=plan, reason=Reason.KEPT))

    def seeds_of(self, album: Album) -> tuple[int, ...]:
        """Return the seeds of the candidates that an album lacks."""
        _, numbers = self._waiting[album_id(album, self._roots)]
        tag, styles = self._options.tag, self._options.tag.paint.preset.styles
        seeds = candidate_seeds(
            album.key,
            tag.seed,
            max(numbers) + 1,
            styles=len(set(styles)),
            style_of=lambda seed: style_for(album, seed, styles),
        )
        return tuple(seeds[number] for number in numbers)

    def keep(self, embedding: AlbumEmbedding, cover: Cover, files: Sequence[bytes]) -> None:
        """Save the files of the next cover of an album. Raises WriteError."""
        album = embedding.plan.album
        entry, numbers = self._waiting.pop(album_id(album, self._roots))
        number = numbers.pop(0)
        name = f"{file_stem(entry)}-{number + 1}"
        names = (name, name + UNTITLED)  # offer it with and without its title
        folder = self._options.folder
        paths = [keep_cover(folder, *one) for one in zip(names, files, strict=False)]
        seed = cover.provenance.seed
        new = (Candidate(number=number, seed=seed, cover=path.name) for path in paths)
        failed = {outcome.path for outcome in embedding.undecoded}
        tracks = tuple(
            replace(known, target=known.target and track.path not in failed)
            for known, track in zip(entry.tracks, album.tracks, strict=True)
        )
        candidates = sorted((*entry.candidates, *new), key=lambda candidate: candidate.number)
        entry = replace(entry, tracks=tracks, candidates=tuple(candidates))
        decodable = [track for track in album.tracks if track.path not in failed]
        self._put(self._with_excerpt(entry, decodable))
        if numbers:
            self._waiting[entry.id] = entry, numbers
        else:
            self._done(embedding, entry, cover.provenance)

    def note(self, event: Event) -> None:
        """Record an album none of whose tracks could be decoded; pass on every event."""
        if isinstance(event, AlbumDone) and event.reason is Reason.NOTHING_HEARD:
            entry, _ = self._waiting.pop(album_id(event.plan.album, self._roots))
            skipped = replace(entry, action=Action.SKIP, reason=Reason.NOTHING_HEARD, candidates=())
            self._put(skipped)
        self._emit(event)

    def finish(self) -> None:
        """Drop albums that no longer exist; report those that were to be painted again."""
        if self._marked is None:
            if self._seen:  # otherwise the library may just not be mounted
                self._manifest.compact(self._seen)
            return
        for entry in map(self._manifest.find, sorted(self._marked - self._seen)):
            if entry:
                gone = Outcome.failed(
                    Path(entry.folder or entry.title),
                    Reason.CHANGED,
                    "the album no longer exists as it was previewed",
                )
                self._emit(FileFailed(outcome=gone))

    def _painted_by_other_retry(self, album: str) -> bool:
        """Whether an album was last painted by anything but this retry."""
        known = self._manifest.find(album)
        return known is None or known.retry != self._retry

    def _continued(self, entry: AlbumEntry) -> tuple[AlbumEntry, list[int]]:
        """Return an album with its existing covers, and the numbers of the missing ones."""
        known = self._manifest.find(entry.id)
        unchanged = known is not None and same_music(known, entry)
        if known and self._marked is not None and known.retry != self._retry:
            entry = replace(
                entry,
                excerpt=known.excerpt if unchanged else "",
                tries=known.tries + 1,
                first=1 + max((one.number for one in known.candidates), default=known.first - 1),
                retry=self._retry,
            )
        elif known is None or not unchanged:
            self._put(entry)
        else:
            covers = self._options.folder / COVERS
            lost = {one.number for one in known.candidates if not (covers / one.cover).is_file()}
            kept = (one for one in known.candidates if one.number not in lost)
            entry = replace(known, candidates=tuple(kept))
        existing = {candidate.number for candidate in entry.candidates}
        wanted = range(entry.first, entry.first + self._options.candidates)
        return entry, [number for number in wanted if number not in existing]

    def _with_excerpt(self, entry: AlbumEntry, tracks: Sequence[Track]) -> AlbumEntry:
        if entry.excerpt or not self._options.audio:
            return entry
        name = keep_excerpt(self._options.folder, file_stem(entry), tracks[0].path)
        return replace(entry, excerpt=name)

    def _put(self, entry: AlbumEntry) -> None:
        if self._manifest.find(entry.id) != entry:
            self._manifest.put(entry)

    def _done(self, embedding: AlbumEmbedding, entry: AlbumEntry, provenance: Provenance) -> None:
        folder = self._options.folder / COVERS
        made = (Outcome.written(folder / one.cover, Reason.MADE) for one in entry.candidates)
        plan = embedding.plan
        self._emit(
            AlbumDone(
                plan=plan,
                reason=plan.reason,
                outcomes=(*embedding.undecoded, *made),
                provenance=provenance if len(entry.candidates) == 1 else None,
            )
        )
