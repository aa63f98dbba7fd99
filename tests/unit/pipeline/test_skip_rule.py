"""The plan of an album, depending on its pictures and the options."""

from dataclasses import replace
from pathlib import Path

import pytest

from covergen.core.album import Action, Album, AlbumPlan, Track
from covergen.core.reasons import Reason
from covergen.pipeline.skip_rule import plan_by_covers

_FOLDER = Path("/music/An Album")


def _album(art: str, *, cover_file: bool = False) -> Album:
    """An album of one track for each letter: "x" has a picture, "-" has none, "!" a broken one."""
    tracks = tuple(
        Track(
            path=_FOLDER / f"{number}.mp3",
            size=1,
            mtime_ns=1,
            container="mp3",
            has_art=has == "x",
            broken_art=has == "!",
        )
        for number, has in enumerate(art)
    )
    return Album(
        key="key",
        folder=_FOLDER,
        title="An Album",
        artist="An Artist",
        date="1997",
        tracks=tracks,
        cover_file=_FOLDER / "cover.jpg" if cover_file else None,
    )


_SKIP, _PAINT, _FILL = Action.SKIP, Action.PAINT, Action.FILL


@pytest.mark.parametrize(
    ("art", "cover_file", "flags", "action", "reason", "targets"),
    [
        ("--", False, "", _PAINT, Reason.NO_COVER, [0, 1]),
        ("--", False, "fill", _PAINT, Reason.NO_COVER, [0, 1]),
        ("--", False, "force", _PAINT, Reason.NO_COVER, [0, 1]),
        ("xx", False, "", _SKIP, Reason.HAS_ART, []),
        ("xx", False, "fill", _SKIP, Reason.HAS_ART, []),
        ("xx", False, "force", _PAINT, Reason.FORCED, [0, 1]),
        ("xx", False, "force fill", _PAINT, Reason.FORCED, [0, 1]),
        ("-x-", False, "", _SKIP, Reason.PARTIAL_ART, []),
        ("-x-", False, "fill", _FILL, Reason.FILLED, [0, 2]),
        ("-x-", False, "force", _PAINT, Reason.FORCED, [0, 1, 2]),
        ("-x-", False, "force fill", _PAINT, Reason.FORCED, [0, 1, 2]),
        ("--", True, "", _SKIP, Reason.HAS_ART, []),
        ("--", True, "fill", _FILL, Reason.FILLED, [0, 1]),
        ("--", True, "force", _PAINT, Reason.FORCED, [0, 1]),
        ("-x-", True, "", _SKIP, Reason.PARTIAL_ART, []),
        ("-x-", True, "fill", _FILL, Reason.FILLED, [0, 2]),
        ("xx", True, "", _SKIP, Reason.HAS_ART, []),
        ("xx", True, "fill", _SKIP, Reason.HAS_ART, []),
        ("!!", False, "", _PAINT, Reason.BROKEN_COVER, [0, 1]),
        ("-!", False, "fill", _PAINT, Reason.BROKEN_COVER, [0, 1]),
        ("x!", False, "", _SKIP, Reason.PARTIAL_ART, []),
        ("x!", False, "fill", _FILL, Reason.FILLED, [1]),
        ("!!", True, "", _SKIP, Reason.HAS_ART, []),
    ],
)
def test_plan_of_album(
    art: str, cover_file: bool, flags: str, action: Action, reason: Reason, targets: list[int]
) -> None:
    album = _album(art, cover_file=cover_file)
    assert plan_by_covers(album, force="force" in flags, fill="fill" in flags) == AlbumPlan(
        album=album,
        action=action,
        reason=reason,
        targets=tuple(album.tracks[number] for number in targets),
    )


@pytest.mark.parametrize(
    ("art", "cover_file", "flags", "reason", "targets"),
    [
        ("o-", False, "embed", Reason.RESUMED, [1]),
        ("o-", True, "embed sidecar", Reason.RESUMED, [1]),
        ("oo", False, "embed", Reason.HAS_ART, []),
        ("oo", False, "embed sidecar", Reason.RESUMED, []),
        ("oo", False, "embed sidecar shared", Reason.HAS_ART, []),
        ("oo", True, "embed sidecar", Reason.HAS_ART, []),
        ("o-", False, "sidecar", Reason.RESUMED, []),
        ("o-", True, "sidecar", Reason.PARTIAL_ART, []),
        ("ox", False, "embed sidecar", Reason.HAS_ART, []),
        ("xx", False, "embed sidecar", Reason.HAS_ART, []),
    ],
)
def test_own_cover_is_copied_to_where_it_is_missing(
    art: str, cover_file: bool, flags: str, reason: Reason, targets: list[int]
) -> None:
    """ "o" is a track with a cover by covergen."""
    album = _album(art.replace("o", "x"), cover_file=cover_file)
    tracks = tuple(
        replace(track, own_art=letter == "o")
        for letter, track in zip(art, album.tracks, strict=True)
    )
    album = replace(album, tracks=tracks, shares_folder="shared" in flags)
    plan = plan_by_covers(
        album, force=False, fill=False, embed="embed" in flags, sidecar="sidecar" in flags
    )
    action = _FILL if reason is Reason.RESUMED else _SKIP
    assert (plan.action, plan.reason) == (action, reason)
    assert plan.targets == tuple(tracks[number] for number in targets)


def test_broken_cover_file_is_repainted() -> None:
    album = replace(_album("--"), broken_file=_FOLDER / "cover.jpg")
    for force in (False, True):
        plan = plan_by_covers(album, force=force, fill=False)
        assert (plan.action, plan.reason) == (_PAINT, Reason.BROKEN_COVER)


def test_jxl_cover_file_is_not_embedded_by_fill() -> None:
    album = replace(_album("--"), cover_file=_FOLDER / "cover.JXL")
    plan = plan_by_covers(album, force=False, fill=True)
    assert (plan.action, plan.reason) == (_SKIP, Reason.HAS_ART)
