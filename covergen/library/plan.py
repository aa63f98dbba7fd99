"""What a run would do with an album, and why."""

from covergen.core.reasons import Reason
from covergen.core.types import Action, Album, AlbumPlan

__all__ = ["plan_album"]


def plan_album(album: Album, *, force: bool, fill: bool) -> AlbumPlan:
    """Decide what becomes of an album. `force` wins over `fill`.

    An album in which some tracks have a picture and some lack it is never painted unasked: not
    even where a cover file lies beside it.
    """
    lacking = tuple(track for track in album.tracks if not track.has_art)
    embedded = len(lacking) < len(album.tracks)
    has_art = embedded or album.cover_file is not None
    if force:
        reason = Reason.FORCED if has_art else Reason.NO_COVER
        return AlbumPlan(album=album, action=Action.PAINT, reason=reason, targets=album.tracks)
    if not has_art:
        return AlbumPlan(
            album=album, action=Action.PAINT, reason=Reason.NO_COVER, targets=album.tracks
        )
    if fill and lacking:
        return AlbumPlan(album=album, action=Action.FILL, reason=Reason.FILLED, targets=lacking)
    partial = embedded and bool(lacking)
    reason = Reason.PARTIAL_ART if partial else Reason.HAS_ART
    return AlbumPlan(album=album, action=Action.SKIP, reason=reason)
