"""Write a cover to the files of an album."""

from dataclasses import replace
from pathlib import Path

import pytest
from mutagen.flac import FLAC
from mutagen.flac import Picture as FlacPicture

from covergen.core.album import Action, Album, AlbumPlan, Outcome, Status, Track
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.journal.journal import Journal
from covergen.journal.recorder import RunRecorder
from covergen.journal.schema import WriteState
from covergen.pipeline.events import AlbumDone
from covergen.pipeline.options import WriteOptions
from covergen.pipeline.write_album import Writer, fill_album, is_complete, write_album
from tests.media import encode, picture_bytes, put_picture
from tests.values import PROVENANCE, make_album, track_at

_FRONT, _BACK, _ARTIST, _ICON = 3, 4, 8, 1

_RED = picture_bytes("png", 40, (250, 0, 0))
_BLUE = picture_bytes("jpeg", 50, (0, 0, 250))
_ICON_PNG = picture_bytes("png", 32, (0, 250, 0))
_GARBAGE = b"no picture at all"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    return folder


def _track(path: Path, sound: bytes, *pictures: tuple[int, bytes]) -> Track:
    """A FLAC file that holds `pictures`, (kind, data), even those that are none."""
    path.write_bytes(sound)
    file = FLAC(path)
    for kind, data in pictures:
        picture = FlacPicture()
        picture.type, picture.data, picture.mime = kind, data, "image/png"
        file.add_picture(picture)
    file.save()
    return track_at(path, "flac", has_art=bool(pictures))


def _album(*tracks: Track, **fields: object) -> Album:
    return make_album(tracks[0].path.parent, tracks=tracks, **fields)


def _covers(path: Path) -> list[tuple[int, bytes]]:
    return [(picture.type, picture.data) for picture in FLAC(path).pictures]


# Filling.


def _fill(album: Album) -> tuple[AlbumDone, list[Track]]:
    """Fill the tracks without a picture; return the result and the tracks passed to on_written."""
    bare = tuple(track for track in album.tracks if not track.has_art)
    plan = AlbumPlan(album=album, action=Action.FILL, reason=Reason.FILLED, targets=bare)
    written: list[Track] = []
    writer = Writer(options=WriteOptions(), on_written=written.append, run=None)
    return fill_album(plan, writer), written


@pytest.mark.parametrize(
    ("pictures", "spread"),
    [
        ([(_BACK, _RED), (_FRONT, _BLUE)], _BLUE),
        ([(_FRONT, _BLUE), (_BACK, _RED)], _BLUE),
        ([(_ICON, _ICON_PNG), (_ARTIST, _BLUE)], _BLUE),
        ([(_ARTIST, _RED), (_BACK, _BLUE)], _RED),
    ],
    ids=["front second", "front first", "no icon", "first of the others"],
)
def test_fill_copies_the_picture_that_players_show(
    folder: Path, sound: bytes, pictures: list[tuple[int, bytes]], spread: bytes
) -> None:
    covered = _track(folder / "1.flac", sound, *pictures)
    bare = _track(folder / "2.flac", sound)

    done, written = _fill(_album(covered, bare))

    assert done.result == "filled"
    assert [(outcome.path, outcome.status) for outcome in done.outcomes] == [
        (bare.path, Status.WRITTEN)
    ]
    assert written == [bare]
    assert _covers(bare.path) == [(_FRONT, spread)]
    assert _covers(covered.path) == pictures


def test_fill_skips_broken_pictures_and_unreadable_tracks(folder: Path, sound: bytes) -> None:
    bare = _track(folder / "1.flac", sound)
    garbage = _track(folder / "2.flac", sound, (_FRONT, _GARBAGE))
    damaged = _track(folder / "3.flac", sound, (_FRONT, _BLUE))
    damaged.path.write_bytes(b"fLaC")
    covered = _track(folder / "4.flac", sound, (_FRONT, _RED))
    (folder / "cover.jpg").write_bytes(_BLUE)

    _fill(_album(bare, garbage, damaged, covered, cover_file=folder / "cover.jpg"))

    assert _covers(bare.path) == [(_FRONT, _RED)]
    assert _covers(garbage.path) == [(_FRONT, _GARBAGE)]


@pytest.mark.parametrize("pictures", [[], [(_FRONT, _GARBAGE)]], ids=["none", "garbage"])
def test_fill_falls_back_to_the_cover_file(
    folder: Path, sound: bytes, pictures: list[tuple[int, bytes]]
) -> None:
    first = _track(folder / "1.flac", sound, *pictures)
    bare = _track(folder / "2.flac", sound)
    (folder / "cover.jpg").write_bytes(_BLUE)

    _fill(_album(first, bare, cover_file=folder / "cover.jpg"))

    assert _covers(bare.path) == [(_FRONT, _BLUE)]
    assert (folder / "cover.jpg").read_bytes() == _BLUE


@pytest.mark.parametrize("cover", [None, _GARBAGE], ids=["gone", "garbage"])
def test_fill_fails_without_a_readable_picture(
    folder: Path, sound: bytes, cover: bytes | None
) -> None:
    garbage = _track(folder / "1.flac", sound, (_FRONT, _GARBAGE))
    bare = _track(folder / "2.flac", sound)
    before = bare.path.read_bytes()
    if cover:
        (folder / "cover.jpg").write_bytes(cover)

    done, written = _fill(_album(garbage, bare, cover_file=folder / "cover.jpg"))

    assert (done.result, done.reason, written) == ("failed", Reason.FILLED, [])
    (outcome,) = done.outcomes
    assert (outcome.path, outcome.status, outcome.reason) == (
        folder,
        Status.FAILED,
        Reason.UNREADABLE,
    )
    assert outcome.message
    assert bare.path.read_bytes() == before


@pytest.mark.parametrize(
    ("reason", "has_cover_file", "is_written"),
    [
        (Reason.RESUMED, False, True),
        (Reason.RESUMED, True, False),
        (Reason.FILLED, False, False),
    ],
)
def test_only_a_resumed_album_gets_its_missing_cover_file(
    folder: Path, sound: bytes, reason: Reason, has_cover_file: bool, is_written: bool
) -> None:
    cover_file = folder / "folder.png" if has_cover_file else None
    album = _album(_track(folder / "1.flac", sound, (_FRONT, _RED)), cover_file=cover_file)
    plan = AlbumPlan(album=album, action=Action.FILL, reason=reason)
    writer = Writer(options=WriteOptions(sidecar=True), on_written=lambda _: None, run=None)

    fill_album(plan, writer)

    cover = folder / "cover.png"
    assert (cover.read_bytes() if cover.exists() else None) == (_RED if is_written else None)


def test_wma_is_the_last_source_since_its_cover_may_be_smaller(folder: Path, sound: bytes) -> None:
    path = encode(folder / "0.wma", "asf", seconds=0.2)
    put_picture(path, "asf", _BLUE)
    wma = replace(_track(folder / "1.flac", sound), path=path, container="asf", has_art=True)
    flac = _track(folder / "1.flac", sound, (_FRONT, _RED))
    bare = _track(folder / "2.flac", sound)

    _fill(_album(wma, flac, bare))

    assert _covers(bare.path) == [(_FRONT, _RED)]


# Writing painted covers.


def _write(
    album: Album, options: WriteOptions, undecoded: tuple[Outcome, ...] = ()
) -> tuple[AlbumDone, list[Track]]:
    plan = AlbumPlan(album=album, action=Action.PAINT, reason=Reason.NO_COVER, targets=album.tracks)
    written: list[Track] = []
    writer = Writer(options=options, on_written=written.append, run=None)
    done = write_album(plan, Picture.parse(_RED), PROVENANCE, writer, undecoded=undecoded)
    assert (done.plan, done.provenance) == (plan, PROVENANCE)
    return done, written


def _summary(done: AlbumDone) -> list[tuple[str, Status, Reason]]:
    return [(outcome.path.name, outcome.status, outcome.reason) for outcome in done.outcomes]


def test_cover_is_written_to_each_track(folder: Path, sound: bytes) -> None:
    tracks = [_track(folder / f"{n}.flac", sound) for n in (1, 2)]

    done, written = _write(_album(*tracks), WriteOptions())

    assert done.result == "painted"
    assert _summary(done) == [
        ("1.flac", Status.WRITTEN, Reason.WRITTEN),
        ("2.flac", Status.WRITTEN, Reason.WRITTEN),
    ]
    assert written == tracks
    assert [_covers(track.path) for track in tracks] == [[(_FRONT, _RED)]] * 2
    assert {path.name for path in folder.iterdir()} == {"1.flac", "2.flac"}


def test_undecodable_track_is_not_written(folder: Path, sound: bytes) -> None:
    deaf, heard = (_track(folder / f"{n}.flac", sound) for n in (1, 2))
    undecoded = Outcome(path=deaf.path, status=Status.FAILED, reason=Reason.UNDECODABLE)

    done, written = _write(_album(deaf, heard), WriteOptions(), (undecoded,))

    assert done.result == "partly"
    assert done.outcomes[0] == undecoded
    assert [outcome.path for outcome in done.outcomes] == [deaf.path, heard.path]
    assert written == [heard]
    assert _covers(deaf.path) == []


def test_on_written_is_called_only_for_replaced_files(folder: Path, sound: bytes) -> None:
    equal = _track(folder / "1.flac", sound, (_FRONT, _RED))
    changed = replace(_track(folder / "2.flac", sound), size=1)
    fresh = _track(folder / "3.flac", sound)

    done, written = _write(_album(equal, changed, fresh), WriteOptions())

    assert _summary(done) == [
        ("1.flac", Status.UNCHANGED, Reason.EQUAL),
        ("2.flac", Status.FAILED, Reason.CHANGED),
        ("3.flac", Status.WRITTEN, Reason.WRITTEN),
    ]
    assert written == [fresh]


@pytest.mark.parametrize("embed", [True, False])
def test_sidecar_is_written_with_or_without_embedding(
    folder: Path, sound: bytes, embed: bool
) -> None:
    track = _track(folder / "1.flac", sound)
    before = track.path.read_bytes()

    done, written = _write(_album(track), WriteOptions(embed=embed, sidecar=True))

    files = ["1.flac"] * embed + ["cover.png"]
    assert _summary(done) == [(file, Status.WRITTEN, Reason.WRITTEN) for file in files]
    assert (folder / "cover.png").read_bytes() == _RED
    assert written == [track] * embed
    assert (track.path.read_bytes() == before) is not embed


def test_shared_folder_gets_no_cover_file(folder: Path, sound: bytes) -> None:
    track = _track(folder / "1.flac", sound)

    done, _ = _write(_album(track, shares_folder=True), WriteOptions(sidecar=True))

    assert done.result == "painted"
    assert _summary(done) == [
        ("1.flac", Status.WRITTEN, Reason.WRITTEN),
        ("album", Status.SKIPPED, Reason.SHARED_FOLDER),
    ]
    assert [path.name for path in folder.iterdir()] == ["1.flac"]


# Journal.


def test_every_write_is_recorded_in_the_journal(folder: Path, sound: bytes) -> None:
    tracks = [_track(folder / f"{n}.flac", sound) for n in (1, 2)]
    album = _album(*tracks)
    plan = AlbumPlan(album=album, action=Action.PAINT, reason=Reason.NO_COVER, targets=(tracks[0],))
    journal = Journal()
    run = RunRecorder(journal, "tag", (folder,), {})
    writer = Writer(options=WriteOptions(sidecar=True), on_written=lambda _: None, run=run)

    write_album(plan, Picture.parse(_RED), PROVENANCE, writer)

    (writes,) = journal.writes(1)
    assert [write.path.name for write in writes] == ["cover.png", "1.flac"]
    assert {write.state for write in writes} == {WriteState.DONE}
    assert {write.provenance for write in writes} == {PROVENANCE}
    assert {write.album.key for write in writes} == {"key"}
    (known,) = journal.runs()
    assert (known.albums, known.written, known.failed) == (1, 2, 0)
    journal.close()


def test_album_is_complete_if_only_undecodable_tracks_failed(folder: Path) -> None:
    def outcome(status: Status) -> Outcome:
        return Outcome(path=folder, status=status, reason=Reason.IO_ERROR)

    undecoded, failed, written = map(outcome, (Status.FAILED, Status.FAILED, Status.WRITTEN))
    assert is_complete((undecoded, written), (undecoded,))
    assert not is_complete((undecoded, failed, written), (undecoded,))
