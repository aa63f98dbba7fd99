"""Plan a run: every album of a library, with its action and its reason."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from covergen.core.reasons import Reason
from covergen.core.types import Action, AlbumPlan, Outcome
from covergen.library.scanning.scan import scan
from covergen.library.scanning.scan_cache import ScanCache
from covergen.library.writing.rewrite import obstacle
from covergen.library.writing.sidecar import own_sidecars
from covergen.pipeline.plan_album import plan_album

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from covergen.core.types import Album
    from covergen.pipeline.events import CheckInterrupted
    from covergen.pipeline.options import PlanOptions, WriteOptions

__all__ = ["limited", "plan_library", "plan_one", "planned", "within_reach"]


def plan_library(
    options: PlanOptions, scan_cache: ScanCache, check_interrupted: CheckInterrupted
) -> Iterator[AlbumPlan | Outcome]:
    """Yield the plan of each album, in constant memory.

    An Outcome is a file that cannot be read, or a track of an album that cannot be written at all.
    """
    for item in _plans(options, scan_cache, check_interrupted):
        if isinstance(item, Outcome):
            yield item
        else:
            yield from item.hindered
            yield replace(item, hindered=())


def _plans(
    options: PlanOptions, scan_cache: ScanCache, check_interrupted: CheckInterrupted
) -> Iterator[AlbumPlan | Outcome]:
    found = scan(options.paths, options.scan, scan_cache, check_interrupted=check_interrupted)
    plans = (item if isinstance(item, Outcome) else plan_one(item, options) for item in found)
    return limited(plans, options.limit)


def limited(
    plans: Iterable[AlbumPlan | Outcome], limit: int | None
) -> Iterator[AlbumPlan | Outcome]:
    """Pass plans on, skipping all after the first `limit` that are not skipped anyway."""
    active = 0
    for plan in plans:
        if isinstance(plan, Outcome) or plan.action is Action.SKIP:
            yield plan
            continue
        active += 1
        yield plan if limit is None or active <= limit else _skipped(plan, Reason.LIMIT)


def plan_one(album: Album, options: PlanOptions) -> AlbumPlan:
    """Return the plan of one album, ignoring the limit."""
    write = options.write
    plan = plan_album(
        album,
        force=options.force,
        fill=options.fill,
        embed=write.embed,
        sidecar=write.can_copy_beside,
    )
    if plan.reason is Reason.RESUMED and not plan.targets and own_sidecars(album.folder):
        return _skipped(plan, Reason.HAS_ART)  # custom cover names may not include it
    return plan if plan.action is Action.SKIP else _skip_if_blocked(plan, write)


def planned(
    options: PlanOptions, check_interrupted: CheckInterrupted
) -> Iterator[AlbumPlan | Outcome]:
    """Yield the plan of a library, using the scan cache, without targets that cannot be written."""
    with closing(ScanCache()) as scan_cache:
        for plan in _plans(options, scan_cache, check_interrupted):
            yield plan if isinstance(plan, Outcome) else within_reach(plan, options.write)


def within_reach(plan: AlbumPlan, write: WriteOptions) -> AlbumPlan:
    """Return the plan without targets known to be unwritable; these become `hindered`."""
    if not write.embed or plan.action is Action.SKIP:
        return plan
    obstacles = {track.path: obstacle(track, write.rewrite) for track in plan.targets}
    hindered = tuple(filter(None, obstacles.values()))
    targets = tuple(track for track in plan.targets if not obstacles[track.path])
    return replace(plan, targets=targets, hindered=hindered)


def _skip_if_blocked(plan: AlbumPlan, write: WriteOptions) -> AlbumPlan:
    """Skip an album whose cover could not be written anywhere."""
    if not (write.embed and plan.targets):
        if plan.album.shares_folder:
            return _skipped(plan, Reason.SHARED_FOLDER)
        return _skipped(plan, Reason.SIDECAR_EXISTS) if _has_sidecar(plan.album, write) else plan
    found: list[Outcome] = []
    for track in plan.targets:
        blocked = obstacle(track, write.rewrite)
        if blocked is None:  # one writable track is enough
            return plan
        found.append(blocked)
    skipped = _skipped(plan, found[0].reason)
    # Why a file cannot be read differs from file to file; other reasons are the album's.
    unreadable = found[0].reason is Reason.UNREADABLE
    return replace(skipped, hindered=tuple(found)) if unreadable else skipped


def _has_sidecar(album: Album, write: WriteOptions) -> bool:
    """Whether a file with the name of the cover file already exists."""
    _, encoding = write.encodings
    name = f"cover{'.png' if encoding.format == 'png' else '.jpg'}"
    files = filter(None, (album.cover_file, album.broken_file))
    return any(file.parent == album.folder and file.name.lower() == name for file in files)


def _skipped(plan: AlbumPlan, reason: Reason) -> AlbumPlan:
    return replace(plan, action=Action.SKIP, reason=reason, targets=())
