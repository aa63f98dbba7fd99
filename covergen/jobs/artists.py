"""Paint pictures of artists into their folders, from all of their albums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from covergen.core.album import Action, Album, AlbumPlan, Outcome
from covergen.core.cover_encoding import encode
from covergen.core.reasons import Reason
from covergen.journal.open_run import open_run
from covergen.library.scanning.artist_folders import artist_folders, artist_picture, is_within
from covergen.library.scanning.scan import scan
from covergen.library.scanning.scan_cache import ScanCache
from covergen.pipeline.events import CheckInterrupted, Emit
from covergen.pipeline.painting import Seeds
from covergen.pipeline.plan_library import limited
from covergen.pipeline.session import open_session
from covergen.pipeline.time_estimate import Meter
from covergen.pipeline.titled_covers import titled_covers
from covergen.pipeline.write_album import Writer, cleaned, left_to_paint, write_beside

if TYPE_CHECKING:
    from covergen.pipeline.options import PlanOptions, TagOptions


def plan_artists(
    options: PlanOptions, check_interrupted: CheckInterrupted
) -> Iterator[AlbumPlan | Outcome]:
    """Yield the plan of each artist folder; change nothing."""
    with closing(ScanCache()) as scan_cache:
        yield from _plans(options, scan_cache, check_interrupted)


def paint_artists(
    options: TagOptions, name: str, emit: Emit, check_interrupted: CheckInterrupted
) -> None:
    """Write a picture file of this name into each artist folder that has none.

    Raises BusyError, JournalError, ModelError, and Interrupted if `check_interrupted` raises it.
    """
    plan, write = options.plan, options.plan.write
    settings = options.identity | {"artists": name}
    run = open_run("tag", plan.paths, settings, journal=write.journal)
    with open_session(run) as session:
        writer = Writer(options=write, on_written=session.note_written, run=session.run)
        plans = cleaned(_plans(plan, session.scan_cache, check_interrupted))
        covers = titled_covers(
            left_to_paint(plans, writer, emit),
            options.paint,
            session,
            seeds=Seeds.by_key(options.seed),
            meter=Meter(),
            encode=lambda cover, _: encode(cover, write.encoding),
            emit=emit,
            check_interrupted=check_interrupted,
        )
        with closing(covers):
            for embedding, cover, picture in covers:
                emit(write_beside(embedding, picture, cover.provenance, writer, name=name))


def _plans(
    options: PlanOptions, scan_cache: ScanCache, check_interrupted: CheckInterrupted
) -> Iterator[AlbumPlan | Outcome]:
    found = scan(options.paths, options.scan, scan_cache, check_interrupted=check_interrupted)
    artists = artist_folders(found)
    plans = (item if isinstance(item, Outcome) else _plan(item, options) for item in artists)
    return limited(plans, options.limit)


def _plan(artist: Album, options: PlanOptions) -> AlbumPlan:
    if not is_within(artist.folder, options.paths):
        return AlbumPlan.skip(artist, Reason.OUTSIDE)
    if artist_picture(artist.folder):
        return AlbumPlan.skip(artist, Reason.HAS_ART)
    return AlbumPlan(album=artist, action=Action.PAINT, reason=Reason.NO_COVER)
