"""What a run would do with an album, and why."""

from pathlib import Path

from covergen.core.reasons import Reason
from covergen.core.types import Action, Album, AlbumPlan
from covergen.library.containers import holds_covers

__all__ = ["plan_album"]

_BESIDE_ALONE = (".jxl", ".heic")  # kinds that players show in folders, and in no tags


def plan_album(album: Album, *, force: bool, fill: bool) -> AlbumPlan:
    """Decide what becomes of an album. `force` wins over `fill`.

    An album in which some tracks have a picture and some lack it is never painted unasked: not
    even where a cover file lies beside it. Where that picture is covergen's own, from a run that
    was stopped in the album's midst, it goes into the rest. What is not an image counts as none.
    Tracks that cannot hold a cover are no targets.
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
    if lacking and embedded and all(track.own_art for track in tracks if track.has_art):
        return AlbumPlan(album=album, action=Action.FILL, reason=Reason.RESUMED, targets=lacking)
    if fill and lacking and (embedded or _can_be_embedded(album.cover_file)):
        return AlbumPlan(album=album, action=Action.FILL, reason=Reason.FILLED, targets=lacking)
    partial = embedded and bool(lacking)
    reason = Reason.PARTIAL_ART if partial else Reason.HAS_ART
    return AlbumPlan(album=album, action=Action.SKIP, reason=reason)


def _can_be_embedded(cover_file: Path | None) -> bool:
    return cover_file is not None and cover_file.suffix.lower() not in _BESIDE_ALONE
