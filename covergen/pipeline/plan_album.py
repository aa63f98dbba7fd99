"""Decide what a run does with an album, and why."""

from pathlib import Path

from covergen.core.reasons import Reason
from covergen.core.types import Action, Album, AlbumPlan
from covergen.library.containers import holds_covers

__all__ = ["plan_album"]

_SIDECAR_ONLY = (".jxl", ".heic")  # formats that players show from folders, but not from tags


def plan_album(
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
    return AlbumPlan(album=album, action=Action.SKIP, reason=reason)


def _can_be_embedded(cover_file: Path | None) -> bool:
    return cover_file is not None and cover_file.suffix.lower() not in _SIDECAR_ONLY
