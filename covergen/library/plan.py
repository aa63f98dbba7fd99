"""What a run would do with an album, and why."""

from covergen.core.reasons import Reason
from covergen.core.types import Action, Album, AlbumPlan
from covergen.library.containers import holds_covers

__all__ = ["plan_album"]


def plan_album(album: Album, *, force: bool, fill: bool) -> AlbumPlan:
    """Decide what becomes of an album. `force` wins over `fill`.

    An album in which some tracks have a picture and some lack it is never painted unasked: not
    even where a cover file lies beside it. Where that picture is covergen's own, from a run that
    was stopped in the album's midst, it goes into the rest. Tracks that cannot hold a cover are no
    targets.
    """
    tracks = tuple(track for track in album.tracks if holds_covers(track.container))
    lacking = tuple(track for track in tracks if not track.has_art)
    embedded = len(lacking) < len(tracks)
    has_art = embedded or album.cover_file is not None
    if force:
        reason = Reason.FORCED if has_art else Reason.NO_COVER
        return AlbumPlan(album=album, action=Action.PAINT, reason=reason, targets=tracks)
    if not has_art:
        return AlbumPlan(album=album, action=Action.PAINT, reason=Reason.NO_COVER, targets=tracks)
    if lacking and embedded and all(track.own_art for track in tracks if track.has_art):
        return AlbumPlan(album=album, action=Action.FILL, reason=Reason.RESUMED, targets=lacking)
    if fill and lacking:
        return AlbumPlan(album=album, action=Action.FILL, reason=Reason.FILLED, targets=lacking)
    partial = embedded and bool(lacking)
    reason = Reason.PARTIAL_ART if partial else Reason.HAS_ART
    return AlbumPlan(album=album, action=Action.SKIP, reason=reason)
