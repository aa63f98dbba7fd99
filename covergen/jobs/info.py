"""Explain a file (its pictures and their provenance) or an album (what a run would do, and why)."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.audio.embedding_cache import EmbeddingCache
from covergen.core.album import Album, AlbumPlan, Outcome, Track
from covergen.core.cover import Provenance
from covergen.core.cover_encoding import is_own, read_provenance
from covergen.core.errors import JournalError, TagError
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.journal.journal import Journal
from covergen.journal.schema import WriteState
from covergen.library.containers import holds_covers
from covergen.library.formats.embedded_picture import FRONT_COVER, EmbeddedPicture
from covergen.library.pictures_in_files import shown_pictures
from covergen.library.read_track import read_track
from covergen.library.scanning.scan import scan
from covergen.library.scanning.scan_cache import ScanCache
from covergen.library.writing.fingerprint import has_fingerprint
from covergen.library.writing.sidecar import is_own_file
from covergen.pipeline.album_words import KnownWords
from covergen.pipeline.events import CheckInterrupted
from covergen.pipeline.repaint_command import repaint
from covergen.pipeline.skip_rule import plan_album, within_reach
from covergen.preview.find_cover import PreviewCover, find_preview_cover

if TYPE_CHECKING:
    from covergen.journal.schema import Run
    from covergen.models.presets import Preset
    from covergen.pipeline.options import PlanOptions
    from covergen.pipeline.repaint_command import Option, Repaint
    from covergen.words.vocabulary import Term


_LARGEST_PICTURE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureInfo:
    """An embedded picture, or a picture file.

    `kind` is the ID3v2 picture type. `width` and `height` are 0 if the data is not an image.
    `own`: its metadata names covergen as its painter.
    """

    kind: int
    mime: str
    width: int
    height: int
    size_bytes: int
    own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """A music file, or a picture file (`track` is None).

    `provenance` and `repaint` describe covergen's own picture; None if there is none, or if its
    metadata is damaged. `run` is the run that wrote it, if the journal knows it; `journal_fault`
    is why the journal could not be read, or "". `preview` is its place in a preview, if it has one.
    """

    path: Path
    track: Track | None
    pictures: tuple[PictureInfo, ...]
    provenance: Provenance | None = None
    repaint: Repaint | None = None
    run: Run | None = None
    journal_fault: str = ""
    preview: PreviewCover | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """An album's plan with other options; `options` are those of `tag`, by parameter name."""

    options: Mapping[str, Option]
    plan: AlbumPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class AlbumInfo:
    """What a run would do with an album, and which options would change that.

    `own_cover_file`: covergen painted the cover file in the album's folder. `words` are those found
    for its music, None if it has not been embedded.
    """

    plan: AlbumPlan
    own_cover_file: bool
    alternatives: tuple[Alternative, ...]
    words: tuple[Term, ...] | None = None


def file_info(path: Path, check_interrupted: CheckInterrupted) -> FileInfo:
    """Inspect a music file or a picture file.

    Raises TagError if it is neither or cannot be read, and whatever `check_interrupted` raises.
    """
    track, embedded = _contents(path)
    info = FileInfo(path=path, track=track, pictures=tuple(map(_picture_info, embedded)))
    own = next((picture.data for picture in embedded if is_own(picture.data)), b"")
    provenance = read_provenance(own)
    if provenance is None:
        return info
    run, fault = None, ""
    try:
        run = _run_of(path, provenance)
    except JournalError as error:
        fault = str(error)
    preview = None if track else find_preview_cover(path, provenance.album_key)
    music = (preview and preview.track) or path
    again = repaint(
        provenance, Picture.parse(own), music, check_interrupted, adapter_hint=_adapter_of(run)
    )
    return replace(
        info, provenance=provenance, repaint=again, run=run, journal_fault=fault, preview=preview
    )


def _contents(path: Path) -> tuple[Track | None, list[EmbeddedPicture]]:
    with _read_errors(path):
        status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise TagError(path, "it is not a regular file", reason=Reason.NOT_AUDIO)
    try:
        track = read_track(path, status)
    except TagError as error:
        if error.reason is not Reason.NOT_AUDIO or status.st_size > _LARGEST_PICTURE_BYTES:
            raise
        return None, [EmbeddedPicture(_picture_file(path), FRONT_COVER)]
    return track, shown_pictures(path, track.container) if holds_covers(track.container) else []


def _picture_file(path: Path) -> bytes:
    with _read_errors(path):
        data = path.read_bytes()
    try:
        Picture.parse(data)
    except ValueError as error:
        message = "it is neither music nor a picture in a supported format"
        raise TagError(path, message, reason=Reason.NOT_AUDIO) from error
    return data


def _picture_info(embedded: EmbeddedPicture) -> PictureInfo:
    own = is_own(embedded.data)
    size = len(embedded.data)
    try:
        picture = Picture.parse(embedded.data)
    except ValueError:
        return PictureInfo(kind=embedded.kind, mime="", width=0, height=0, size_bytes=size, own=own)
    return PictureInfo(
        kind=embedded.kind,
        mime=picture.mime,
        width=picture.width,
        height=picture.height,
        size_bytes=size,
        own=own,
    )


def _run_of(path: Path, provenance: Provenance) -> Run | None:
    """Return the last run that wrote the picture. Raises JournalError."""
    with closing(Journal()) as journal, _read_errors(path):
        writes = [w for w in journal.history(path) if w.state is not WriteState.UNDONE]
        for write in writes:
            # Without a provenance, the picture was copied from another track.
            if write.provenance == provenance or has_fingerprint(path, write.after):
                return journal.run(write.run)
    return None


def _adapter_of(run: Run | None) -> str:
    """Return the adapter in a run's settings, or ""."""
    preset = run.settings.get("preset") if run else None
    adapter = preset.get("adapter") if isinstance(preset, dict) else None
    return adapter if isinstance(adapter, str) else ""


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TagError(path, f"it cannot be read: {error.strerror}") from error


def album_infos(
    options: PlanOptions, preset: Preset | None, check_interrupted: CheckInterrupted
) -> Iterator[AlbumInfo | Outcome]:
    """Explain each album, ignoring --limit. An Outcome is a file that could not be read.

    `preset` is the model whose words are looked up, if any. Raises SettingsError for mistakes in
    its vocabulary.
    """
    with closing(ScanCache()) as scan_cache, closing(EmbeddingCache()) as store:
        words = KnownWords(preset, store) if preset else None
        for item in scan(
            options.paths, options.scan, scan_cache, check_interrupted=check_interrupted
        ):
            if isinstance(item, Outcome):
                yield item
                continue
            plan = _plan(item, options)
            others = (
                Alternative(options=changes, plan=_plan(item, other))
                for changes, other in _other_options(options)
            )
            yield AlbumInfo(
                plan=plan,
                own_cover_file=item.cover_file is not None and is_own_file(item.cover_file),
                alternatives=tuple(other for other in others if other.plan != plan),
                words=words.find(item) if words else None,
            )


def _plan(album: Album, options: PlanOptions) -> AlbumPlan:
    return within_reach(plan_album(album, options), options.write)


def _other_options(options: PlanOptions) -> Iterator[tuple[dict[str, Option], PlanOptions]]:
    write = options.write
    yield {"fill": True}, replace(options, fill=True, force=False)
    yield {"force": True}, replace(options, fill=False, force=True)
    detached = replace(write, rewrite=replace(write.rewrite, hardlinks="break"))
    yield {"hardlinks": "break"}, replace(options, write=detached)
    beside = replace(write, embed=False, sidecar=True)
    yield {"no_embed": True, "sidecar": True}, replace(options, write=beside)
