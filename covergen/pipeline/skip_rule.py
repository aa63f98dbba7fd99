"""Which albums a run skips, and what it does with the others, with the reason of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.album import Action, Album, AlbumPlan, Outcome
from covergen.core.reasons import Reason
from covergen.library.containers import holds_covers
from covergen.library.writing.rewrite import obstacle
from covergen.library.writing.sidecar import own_sidecars, sidecar_obstacle

if TYPE_CHECKING:
    from covergen.pipeline.options import PlanOptions, WriteOptions


_SIDECAR_ONLY = (".jxl", ".heic")  # formats that players show from folders, but not from tags


def plan_album(album: Album, options: PlanOptions) -> AlbumPlan:
    """Return the plan of one album, ignoring the limit."""
    write = options.write
    plan = plan_by_covers(
        album,
        force=options.force,
        fill=options.fill,
        embed=write.embed,
        sidecar=write.can_copy_beside,
    )
    if plan.reason is Reason.RESUMED and not plan.targets and own_sidecars(album.folder):
        return skipped(plan, Reason.HAS_ART)  # custom cover names may not include it
    return plan if plan.action is Action.SKIP else _skip_if_blocked(plan, write)


def plan_by_covers(
    album: Album, *, force: bool, fill: bool, embed: bool = True, sidecar: bool = False
) -> AlbumPlan:
    """Return the plan of an album. `force` takes precedence over `fill`.

    `embed` and `sidecar`: whether a picture in the tracks may be copied to others, and to a missing
    cover file. An album in which only some tracks have a picture is never painted by default, even
    if it has a cover file. If that picture is covergen's own, from an interrupted run, it is copied
    to where it is missing: the other tracks, and the cover file. Data that is not an image does not
    count as a picture. Tracks that cannot hold a cover are not targets.
    """
    tracks = tuple(track for track in album.tracks if holds_covers(track.container))
    lacking = tuple(track for track in tracks if not track.has_art)
    embedded = len(lacking) < len(tracks)
    if not embedded and album.cover_file is None:
        broken = album.broken_file or any(track.broken_art for track in tracks)
        reason = Reason.BROKEN_COVER if broken else Reason.NO_COVER
        return AlbumPlan(album=album, action=Action.PAINT, reason=reason, targets=tracks)
    if force:
        return AlbumPlan(album=album, action=Action.PAINT, reason=Reason.FORCED, targets=tracks)
    if embedded and all(track.own_art for track in tracks if track.has_art):
        missing = lacking if embed else ()
        lacks_file = sidecar and album.cover_file is None and not album.shares_folder
        if missing or lacks_file:
            return AlbumPlan(
                album=album, action=Action.FILL, reason=Reason.RESUMED, targets=missing
            )
    if fill and lacking and (embedded or _can_be_embedded(album.cover_file)):
        return AlbumPlan(album=album, action=Action.FILL, reason=Reason.FILLED, targets=lacking)
    partial = embedded and bool(lacking)
    reason = Reason.PARTIAL_ART if partial else Reason.HAS_ART
    return AlbumPlan.skip(album, reason)


def _can_be_embedded(cover_file: Path | None) -> bool:
    return cover_file is not None and cover_file.suffix.lower() not in _SIDECAR_ONLY


def _skip_if_blocked(plan: AlbumPlan, write: WriteOptions) -> AlbumPlan:
    """Skip an album whose cover could not be written anywhere."""
    if not (write.embed and plan.targets):
        if plan.album.shares_folder:
            return skipped(plan, Reason.SHARED_FOLDER)
        return skipped(plan, Reason.SIDECAR_EXISTS) if _has_sidecar(plan.album, write) else plan
    found: list[Outcome] = []
    for track in plan.targets:
        blocked = obstacle(track, write.rewrite)
        if blocked is None:  # one writable track is enough
            return plan
        found.append(blocked)
    skip = skipped(plan, found[0].reason)
    # Why a file cannot be read differs from file to file; other reasons are the album's.
    unreadable = found[0].reason is Reason.UNREADABLE
    return replace(skip, hindered=tuple(found)) if unreadable else skip


def _has_sidecar(album: Album, write: WriteOptions) -> bool:
    """Whether a file with the name of the cover file already exists."""
    files = filter(None, (album.cover_file, album.broken_file))
    path = _sidecar_path(album, write)
    return any(file.with_name(file.name.lower()) == path for file in files)


def _sidecar_path(album: Album, write: WriteOptions) -> Path:
    _, encoding = write.encodings
    return album.folder / ("cover.png" if encoding.format == "png" else "cover.jpg")


def foreseen(plan: AlbumPlan, write: WriteOptions) -> Iterator[AlbumPlan | Outcome]:
    """Yield a plan `within_reach`, and an Outcome if its cover file is known to be unwritable."""
    yield within_reach(plan, write)
    album = plan.album
    copied = plan.reason is Reason.RESUMED and write.can_copy_beside and album.cover_file is None
    painted = plan.action in (Action.PAINT, Action.WRITE) and write.sidecar
    if (copied or painted) and not album.shares_folder:
        blocked = sidecar_obstacle(_sidecar_path(album, write))
        yield from filter(None, [blocked])


def within_reach(plan: AlbumPlan, write: WriteOptions) -> AlbumPlan:
    """Return the plan without targets known to be unwritable; these become `hindered`."""
    if not write.embed or plan.action is Action.SKIP:
        return plan
    obstacles = {track.path: obstacle(track, write.rewrite) for track in plan.targets}
    hindered = (*plan.hindered, *filter(None, obstacles.values()))
    targets = tuple(track for track in plan.targets if not obstacles[track.path])
    return replace(plan, targets=targets, hindered=hindered)


def skipped(plan: AlbumPlan, reason: Reason) -> AlbumPlan:
    """Return the plan of the same album, to be skipped."""
    return replace(plan, action=Action.SKIP, reason=reason, targets=())
