"""The plan of a library: covers that cannot be written are not painted; the limit is kept."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from covergen.core.album import Action, AlbumPlan, Outcome, Status
from covergen.core.cover import Cover
from covergen.core.cover_encoding import PURPOSES, Encoding
from covergen.core.cover_encoding import encode as encode_cover
from covergen.core.reasons import Reason
from covergen.library.scanning.scan import ScanOptions
from covergen.library.scanning.scan_cache import ScanCache
from covergen.library.writing.rewrite import RewriteOptions
from covergen.pipeline.options import PlanOptions, WriteOptions
from covergen.pipeline.plan_library import plan_library, planned
from covergen.pipeline.totals import PlanTotals
from tests.media import encode, picture_bytes, put_picture, put_tags
from tests.values import PROVENANCE

_PNG = Encoding()
_SIDECAR_ONLY = WriteOptions(embed=False, sidecar=True)


class Shelf:
    """A library of test albums."""

    def __init__(self, root: Path, sound: bytes) -> None:
        self.root = root
        self._sound = sound

    def add(self, folder: str, *names: str, album: str = "") -> list[Path]:
        """An album of bare tracks in its own folder, or in one with others."""
        paths = [self.root / folder / f"{name}.flac" for name in names or ("1", "2")]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._sound)
            put_tags(path, "flac", {"artist": "Ada", "album": album or folder})
        return paths

    def plans(self, **options: object) -> list[AlbumPlan]:
        planned = list(self.items(**options))
        assert all(isinstance(item, AlbumPlan) for item in planned)
        return planned

    def items(self, **options: object) -> Iterator[AlbumPlan | Outcome]:
        with closing(ScanCache()) as scan_cache:
            yield from plan_library(
                PlanOptions(paths=(self.root,), **options),
                scan_cache,
                check_interrupted=lambda: None,
            )


@pytest.fixture
def shelf(tmp_path: Path, sound: bytes) -> Shelf:
    return Shelf(tmp_path / "music", sound)


def _summary(plans: list[AlbumPlan]) -> list[tuple[str, Action, Reason, int]]:
    return [(p.album.title, p.action, p.reason, len(p.targets)) for p in plans]


def _link(path: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    os.link(path, folder / path.name)


# Which files can be written.


def test_hard_linked_album_is_painted_only_with_hardlinks_break(
    shelf: Shelf, tmp_path: Path
) -> None:
    for path in shelf.add("Seeded"):
        _link(path, tmp_path / "elsewhere")

    assert _summary(shelf.plans()) == [("Seeded", Action.SKIP, Reason.HARD_LINKED, 0)]
    write = WriteOptions(rewrite=RewriteOptions(hardlinks="break"))

    assert _summary(shelf.plans(write=write)) == [("Seeded", Action.PAINT, Reason.NO_COVER, 2)]


def test_album_of_read_only_files_is_skipped(shelf: Shelf) -> None:
    for path in shelf.add("Locked"):
        path.chmod(0o444)

    assert _summary(shelf.plans()) == [("Locked", Action.SKIP, Reason.READ_ONLY, 0)]


def test_unwritable_track_is_reported_with_its_reason(shelf: Shelf) -> None:
    (path,) = shelf.add("Cut", "1")
    song = encode(path.with_suffix(".dsf"), "dsf", seconds=0.5)
    path.unlink()
    song.write_bytes(song.read_bytes()[:-100])

    file, plan = shelf.items()

    assert isinstance(file, Outcome)
    assert (file.path, file.status, file.reason) == (song, Status.FAILED, Reason.UNREADABLE)
    assert "the end of the file is missing" in file.message
    assert isinstance(plan, AlbumPlan)
    assert (plan.action, plan.reason, plan.targets) == (Action.SKIP, Reason.UNREADABLE, ())


def test_album_is_skipped_if_disk_is_full(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.add("Full")
    usage = shutil.disk_usage(shelf.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))

    assert _summary(shelf.plans()) == [("Full", Action.SKIP, Reason.NO_SPACE, 0)]


@pytest.mark.parametrize("open_track", [0, 1, 2])
def test_album_with_one_writable_track_is_painted(
    shelf: Shelf, tmp_path: Path, open_track: int
) -> None:
    paths = shelf.add("Mixed", "1", "2", "3")
    locked, linked = (path for n, path in enumerate(paths) if n != open_track)
    locked.chmod(0o444)
    _link(linked, tmp_path / "elsewhere")

    assert _summary(shelf.plans()) == [("Mixed", Action.PAINT, Reason.NO_COVER, 3)]


def test_unwritable_tracks_are_reported_but_not_targets(shelf: Shelf, tmp_path: Path) -> None:
    locked, linked, free = shelf.add("Mixed", "1", "2", "3")
    locked.chmod(0o444)
    _link(linked, tmp_path / "elsewhere")

    (plan,) = planned(PlanOptions(paths=(shelf.root,)), check_interrupted=lambda: None)

    assert isinstance(plan, AlbumPlan)
    assert [track.path for track in plan.targets] == [free]
    assert [(o.path, o.status, o.reason) for o in plan.hindered] == [
        (locked, Status.FAILED, Reason.READ_ONLY),
        (linked, Status.SKIPPED, Reason.HARD_LINKED),
    ]


def test_totals_count_each_file_once(shelf: Shelf) -> None:
    writing, *_ = shelf.add("Mixed", "1", "2", "3")
    writing.with_name(writing.name + ".part").touch()  # a download program's
    totals = PlanTotals()

    for plan in planned(PlanOptions(paths=(shelf.root,)), check_interrupted=lambda: None):
        totals.add(plan)

    assert totals.tracks == {(Action.PAINT, Reason.NO_COVER): 2}
    assert totals.files == {(Status.SKIPPED, Reason.IN_USE): 1}
    assert (totals.targets, totals.tracks_to_embed) == (2, 3), "an album is heard as a whole"


def test_existing_sidecar_name_blocks_sidecar_only_runs(shelf: Shelf) -> None:
    (path, _) = shelf.add("Broken")
    (path.parent / "COVER.png").write_bytes(b"")

    assert _summary(shelf.plans(write=_SIDECAR_ONLY)) == [
        ("Broken", Action.SKIP, Reason.SIDECAR_EXISTS, 0)
    ]
    jpeg = WriteOptions(embed=False, sidecar=True, encoding=Encoding(format="jpeg"))
    assert _summary(shelf.plans(write=jpeg)) == [("Broken", Action.PAINT, Reason.BROKEN_COVER, 2)]


def test_fill_checks_only_tracks_without_cover(shelf: Shelf) -> None:
    covered, bare = shelf.add("Half")
    put_picture(covered, "flac", picture_bytes())
    assert _summary(shelf.plans(fill=True)) == [("Half", Action.FILL, Reason.FILLED, 1)]

    bare.chmod(0o444)

    assert _summary(shelf.plans(fill=True)) == [("Half", Action.SKIP, Reason.READ_ONLY, 0)]


def test_own_cover_file_is_known_whatever_the_cover_names(shelf: Shelf) -> None:
    (path,) = shelf.add("Painted", "1")
    own = encode_cover(Cover(pixels=np.zeros((8, 8, 3), np.uint8), provenance=PROVENANCE), _PNG)
    put_picture(path, "flac", own.data)
    options = {"scan": ScanOptions(cover_names=("front.*",)), "write": WriteOptions(sidecar=True)}
    assert _summary(shelf.plans(**options)) == [("Painted", Action.FILL, Reason.RESUMED, 0)]
    # The picture in the tracks is not the one that another purpose asks for.
    larger = WriteOptions(sidecar=True, sidecar_encoding=PURPOSES["release"])
    assert _summary(shelf.plans(**options | {"write": larger})) == [
        ("Painted", Action.SKIP, Reason.HAS_ART, 0)
    ]

    path.with_name("cover.png").write_bytes(own.data)

    assert _summary(shelf.plans(**options)) == [("Painted", Action.SKIP, Reason.HAS_ART, 0)]


# Sidecars only.


@pytest.mark.parametrize("own", [False, True], ids=["painted", "copied from the tracks"])
@pytest.mark.parametrize("taken", [False, True])
def test_folder_that_is_not_writable_fails_only_a_new_cover_file(
    shelf: Shelf, own: bool, taken: bool
) -> None:
    (path,) = shelf.add("Locked", "1")
    cover = encode_cover(Cover(pixels=np.zeros((8, 8, 3), np.uint8), provenance=PROVENANCE), _PNG)
    if own:
        put_picture(path, "flac", cover.data)
    if taken:
        path.with_name("COVER.PNG").write_bytes(cover.data)
    path.parent.chmod(0o555)

    options = PlanOptions(paths=(shelf.root,), write=_SIDECAR_ONLY)
    found = list(planned(options, check_interrupted=lambda: None))

    path.parent.chmod(0o755)
    files = [(o.path.name, o.status, o.reason) for o in found if isinstance(o, Outcome)]
    assert files == ([] if taken else [("cover.png", Status.FAILED, Reason.READ_ONLY)])


def test_shared_folder_gets_no_cover_file(shelf: Shelf) -> None:
    shelf.add("Shared", "1", album="One")
    shelf.add("Shared", "2", album="Two")
    shelf.add("Single")

    assert _summary(shelf.plans(write=_SIDECAR_ONLY)) == [
        ("One", Action.SKIP, Reason.SHARED_FOLDER, 0),
        ("Two", Action.SKIP, Reason.SHARED_FOLDER, 0),
        ("Single", Action.PAINT, Reason.NO_COVER, 2),
    ]


def test_sidecar_only_run_ignores_read_only_tracks(shelf: Shelf) -> None:
    for path in shelf.add("Locked"):
        path.chmod(0o444)

    plans = shelf.plans(write=_SIDECAR_ONLY)

    assert [(p.action, p.reason) for p in plans] == [(Action.PAINT, Reason.NO_COVER)]


# The limit.


@pytest.mark.parametrize("limit", [0, 2, None])
def test_limit_counts_only_albums_to_change(shelf: Shelf, limit: int | None) -> None:
    for path in shelf.add("A covered"):
        put_picture(path, "flac", picture_bytes())
        path.chmod(0o444)
    for path in shelf.add("B locked"):
        path.chmod(0o444)
    half, _ = shelf.add("C half")
    put_picture(half, "flac", picture_bytes())
    shelf.add("D bare")
    shelf.add("E bare")

    found = _summary(shelf.plans(limit=limit, fill=True))

    assert found[:2] == [
        ("A covered", Action.SKIP, Reason.HAS_ART, 0),
        ("B locked", Action.SKIP, Reason.READ_ONLY, 0),
    ]
    worked_on = [
        ("C half", Action.FILL, Reason.FILLED, 1),
        ("D bare", Action.PAINT, Reason.NO_COVER, 2),
        ("E bare", Action.PAINT, Reason.NO_COVER, 2),
    ]
    past = [(title, Action.SKIP, Reason.LIMIT, 0) for title, *_ in worked_on]
    most = 3 if limit is None else limit
    assert found[2:] == worked_on[:most] + past[most:]


def test_planned_equals_plan_library(shelf: Shelf) -> None:
    shelf.add("A bare")
    for path in shelf.add("B locked"):
        path.chmod(0o444)

    options = PlanOptions(paths=(shelf.root,))

    assert list(planned(options, lambda: None)) == shelf.plans()


def test_files_that_cannot_be_written_are_counted_once(tmp_path: Path) -> None:
    path = encode(tmp_path / "1.m4a", "mp4", seconds=0.2, tags={"title": "T"})
    path.write_bytes(path.read_bytes().replace(b"mdirappl", b"mdtaappl"))
    totals = PlanTotals()
    for item in planned(PlanOptions(paths=(tmp_path,)), check_interrupted=lambda: None):
        totals.add(item)
    assert totals.files[Status.FAILED, Reason.UNREADABLE] == 1
    assert sum(totals.tracks.values()) + sum(totals.files.values()) == 1
