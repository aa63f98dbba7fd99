"""A dataset from Jamendo: what is in it after whatever the server and the system do."""

import csv
import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest

from covergen.core.errors import DownloadError, Interrupted, UsageError, WriteError
from covergen.core.reasons import Reason
from covergen.datasets.folder import read_dataset
from covergen.datasets.jamendo.catalog import Account
from covergen.datasets.jamendo.fetch import Patience
from covergen.datasets.jamendo.query import Query
from covergen.jobs.dataset.from_jamendo import (
    JamendoOptions,
    collect_from_jamendo,
    pairs_there,
    preview_jamendo,
)
from covergen.pipeline.events import AlbumDone, Event, Waiting
from tests.jamendo_server import CLIENT_ID, OVER_QUOTA, Answer, FakeJamendo, make_song, running
from tests.media import encode, picture_bytes


@pytest.fixture
def jamendo() -> Iterator[FakeJamendo]:
    with running(FakeJamendo(songs=[make_song(n) for n in range(1, 7)])) as jamendo:
        yield jamendo


@pytest.fixture
def options(jamendo: FakeJamendo, tmp_path: Path) -> JamendoOptions:
    return JamendoOptions(
        folder=tmp_path / "dataset",
        account=Account(client_id=CLIENT_ID, base_url=jamendo.base_url),
        query=Query(),
        pairs=4,
        seconds=5,
        patience=Patience(rate=1000, pause_seconds=0.001),
    )


def collected(options: JamendoOptions) -> list[AlbumDone]:
    events: list[Event] = []
    collect_from_jamendo(options, events.append, lambda: None)
    return [event for event in events if isinstance(event, AlbumDone)]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ids(folder: Path) -> list[str]:
    return [row["jamendo_track_id"] for row in rows(folder)]


def files(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found}


def test_pairs_are_complete_checked_and_readable(
    jamendo: FakeJamendo, options: JamendoOptions
) -> None:
    done = collected(options)
    assert [(d.result, d.plan.album.title) for d in done] == [
        ("collected", f"Album {1000 + n}") for n in range(1, 5)
    ]
    folder = options.folder
    assert files(folder) == {"metadata.csv"} | {
        name for n in range(1, 5) for name in (f"audio_snippets/{n}.mp3", f"cover_images/{n}.jpg")
    }
    for n in range(1, 5):
        cover = (folder / f"cover_images/{n}.jpg").read_bytes()
        assert cover == jamendo.songs[n - 1].cover
        with av.open(str(folder / f"audio_snippets/{n}.mp3")) as sound:
            samples = sum(frame.samples for frame in sound.decode(audio=0))
            assert samples / 44_100 == pytest.approx(5, abs=0.05)
    dataset = read_dataset(folder)
    assert [pair.stem for pair in dataset.pairs] == ["1", "2", "3", "4"]
    assert len(dataset.albums) == 4
    assert not dataset.problems


def test_each_row_names_source_license_and_author(
    jamendo: FakeJamendo, options: JamendoOptions
) -> None:
    jamendo.songs = [make_song(7, title='Say "hi",\nyou', artist="Žofie", license="by-nc-sa")]
    collected(options)
    (row,) = rows(options.folder)
    reference = {
        "jamendo_track_id": "7",
        "track_name": 'Say "hi", you',
        "artist_name": "Žofie",
        "album_name": "Album 1007",
        "audio_filename": "7.mp3",
        "image_filename": "7.jpg",
        "jamendo_license_cc": "by-nc-sa",
        "original_audio_duration_s": "60",
        "image_original_width_px": "64",
        "image_original_height_px": "64",
        "image_saved_width_px": "64",
        "image_saved_height_px": "64",
    }
    more = {
        "album_key": "jamendo-album-1007",
        "jamendo_album_id": "1007",
        "source": "https://www.jamendo.com/track/7",
        "release_date": "2011-12-29",
        "genre": "rock",
        "license_url": "http://creativecommons.org/licenses/by-nc-sa/3.0/",
        "image_license": "not stated",
        "attribution": '“Say "hi", you” by Žofie (https://www.jamendo.com/track/7),'
        " CC BY-NC-SA 3.0 (http://creativecommons.org/licenses/by-nc-sa/3.0/)",
    }
    assert reference.items() | more.items() <= row.items()
    assert float(row["actual_snippet_duration_s"]) == pytest.approx(5, abs=0.05)


def test_only_what_may_be_used_is_asked_for(jamendo: FakeJamendo, options: JamendoOptions) -> None:
    jamendo.songs = [
        make_song(1, license="by-nd"),  # Jamendo's own filter keeps it back
        make_song(2, license_url="http://creativecommons.org/licenses/by-nd/3.0/"),
        make_song(3, license_url="http://artlibre.org/license.php/lal.html"),
        make_song(4, downloadable=False),
        make_song(5, cover=None),
        make_song(6),
        make_song(7, album_id=0),
        make_song(8, album_id=0, cover=None),
    ]
    done = {d.plan.album.tracks[0].path.stem: (d.result, d.reason) for d in collected(options)}
    assert done == {
        "2": ("skipped", Reason.OTHER_LICENSE),
        "3": ("skipped", Reason.OTHER_LICENSE),
        "4": ("skipped", Reason.NO_DOWNLOAD),
        "5": ("skipped", Reason.NO_COVER),
        "6": ("collected", Reason.HAS_ART),
        "7": ("collected", Reason.HAS_ART),
        "8": ("skipped", Reason.NO_COVER),
    }
    assert {name for name in jamendo.asked if name != "api"} == {
        f"{kind}/{n}" for kind in ("image", "audio") for n in (6, 7)
    }


def test_the_next_run_goes_on_and_repeats_nothing(
    jamendo: FakeJamendo, options: JamendoOptions
) -> None:
    collected(replace(options, pairs=2))
    first = {name: (options.folder / name).read_bytes() for name in files(options.folder)}
    jamendo.asked.clear()
    collected(replace(options, pairs=5))
    assert ids(options.folder) == ["1", "2", "3", "4", "5"]
    assert not {"image/1", "audio/1", "image/2", "audio/2"} & set(jamendo.asked)
    del first["metadata.csv"]
    assert all((options.folder / name).read_bytes() == data for name, data in first.items())
    assert pairs_there(options.folder) == 5


def test_a_dataset_of_the_references_collector_is_gone_on_with(
    jamendo: FakeJamendo, options: JamendoOptions
) -> None:
    columns = "jamendo_track_id,track_name,artist_name,album_name,audio_filename,image_filename"
    options.folder.mkdir()
    table = options.folder / "metadata.csv"
    table.write_text(f"{columns}\n3,Old,Ann,Album,3.mp3,3.jpg\n")
    collected(replace(options, pairs=3))
    assert ids(options.folder) == ["3", "1", "2"]
    assert rows(options.folder)[0]["track_name"] == "Old"


@pytest.mark.parametrize("calls", [1, 4, 8, 12, 17])
def test_after_a_stop_at_any_place_the_next_run_makes_it_whole(
    jamendo: FakeJamendo, options: JamendoOptions, calls: int
) -> None:
    left = iter(range(calls))

    def checkpoint() -> None:
        if next(left, None) is None:
            raise Interrupted

    with pytest.raises(Interrupted):
        collect_from_jamendo(options, lambda _: None, checkpoint)
    assert not [name for name in files(options.folder) if "covergen" in name]
    collected(options)
    assert ids(options.folder) == ["1", "2", "3", "4"]
    assert len(files(options.folder)) == 9


def test_what_a_kill_leaves_is_cleared_and_taken_up(
    jamendo: FakeJamendo, options: JamendoOptions
) -> None:
    collected(replace(options, pairs=2))
    table = options.folder / "metadata.csv"
    table.write_bytes(table.read_bytes()[:-40])  # the second row was never finished
    stale = options.folder / "audio_snippets/.covergen-0123abcd.tmp"
    stale.write_bytes(b"half a download")
    collected(options)
    assert sorted(ids(options.folder)) == ["1", "2", "3", "4"]
    assert not stale.exists()
    assert len(read_dataset(options.folder).pairs) == 4


GARBAGE = {
    "no picture": ("image/2", Answer(body=b"<html>gone</html>"), Reason.BAD_COVER),
    "half a picture": ("image/2", Answer(body=picture_bytes("jpeg")[:400]), Reason.BAD_COVER),
    "empty picture": ("image/2", Answer(body=b""), Reason.BAD_COVER),
    "no sound": ("audio/2", Answer(body=b"<html>gone</html>"), Reason.UNDECODABLE),
    "no picture there": ("image/2", Answer(status=404), Reason.NOT_GIVEN),
    "no sound there": ("audio/2", Answer(status=404), Reason.NOT_GIVEN),
    "redirected to a file": (
        "audio/2",
        Answer(status=302, headers={"Location": "file:///etc/passwd"}),
        Reason.NOT_GIVEN,
    ),
    "ever broken off": ("audio/2", Answer(body=b"ID3", promised=9000), Reason.NOT_REACHED),
    "ever failing": ("image/2", Answer(status=500), Reason.NOT_REACHED),
}


@pytest.mark.parametrize(("name", "answer", "reason"), GARBAGE.values(), ids=GARBAGE)
def test_one_bad_track_is_told_and_the_rest_goes_on(
    jamendo: FakeJamendo, options: JamendoOptions, name: str, answer: Answer, reason: Reason
) -> None:
    jamendo.always[name] = answer
    failed = [d for d in collected(options) if d.failed]
    assert [(d.result, d.reason) for d in failed] == [("failed", reason)]
    (outcome,) = failed[0].outcomes
    assert outcome.path == options.folder / "audio_snippets/2.mp3"
    assert jamendo.address not in outcome.message
    assert ids(options.folder) == ["1", "3", "4", "5"]
    assert not [file for file in files(options.folder) if Path(file).stem == "2"]
    del jamendo.always[name]
    collected(replace(options, pairs=5))
    assert ids(options.folder)[-1] == "2"


def test_other_pictures_and_sounds(
    jamendo: FakeJamendo, options: JamendoOptions, tmp_path: Path
) -> None:
    flac = encode(tmp_path / "song.mp3", "flac", seconds=1).read_bytes()
    jamendo.songs = [make_song(1, cover=picture_bytes("png")), make_song(2, sound=flac)]
    good, bad = collected(options)
    assert good.result == "collected"
    assert (options.folder / "cover_images/1.png").exists()
    assert (bad.reason, bad.outcomes[0].message) == (Reason.UNDECODABLE, "it is flac, not MP3")


def test_transfers_that_break_off_are_tried_again(
    jamendo: FakeJamendo, options: JamendoOptions
) -> None:
    sound = jamendo.songs[0].sound
    half = Answer(body=sound[: len(sound) // 2], promised=len(sound))
    jamendo.faults = {
        "api": [OVER_QUOTA],
        "audio/1": [half, Answer(status=503)],
        "image/1": [Answer(status=429, headers={"Retry-After": "0"})],
    }
    events: list[Event] = []
    collect_from_jamendo(options, events.append, lambda: None)
    assert ids(options.folder) == ["1", "2", "3", "4"]
    assert [event.why for event in events if isinstance(event, Waiting)] == [
        "it returned no results, with the warning: You have exceeded your monthly quota",
        "the server responded 429 Too Many Requests",
        "the connection was lost",
        "the server responded 503 Service Unavailable",
    ]


def test_a_storage_that_is_down_is_left_alone(
    jamendo: FakeJamendo, options: JamendoOptions
) -> None:
    jamendo.songs = [make_song(n) for n in range(1, 30)]
    jamendo.always = {f"audio/{n}": Answer(status=500) for n in range(3, 30)}
    with pytest.raises(DownloadError, match="in a row"):
        collected(replace(options, pairs=20))
    assert ids(options.folder) == ["1", "2"]
    assert sum(f"audio/{n}" in jamendo.asked for n in range(3, 30)) == 5


def test_a_folder_of_other_things_is_left_alone(
    jamendo: FakeJamendo, options: JamendoOptions
) -> None:
    options.folder.mkdir()
    (options.folder / "thesis.txt").write_text("mine")
    for act in (collected, lambda o: list(preview_jamendo(o, lambda _: None, lambda: None))):
        with pytest.raises(UsageError, match="contains other files"):
            act(options)
    assert files(options.folder) == {"thesis.txt"}
    assert not jamendo.asked


def test_a_preview_asks_two_pages_and_writes_nothing(
    jamendo: FakeJamendo, options: JamendoOptions
) -> None:
    collected(replace(options, pairs=1))
    jamendo.songs += [make_song(7, downloadable=False), make_song(8, album_id=0)]
    jamendo.asked.clear()
    before = files(options.folder)
    albums, singles = preview_jamendo(options, lambda _: None, lambda: None)
    assert (albums.total, albums.usable) == (7, 5)
    assert albums.reasons == {Reason.COLLECTED: 1, Reason.NO_DOWNLOAD: 1}
    assert (singles.total, singles.usable, singles.reasons) == (1, 1, {})
    assert jamendo.asked == {"api": 2}
    assert files(options.folder) == before


def test_a_full_disk_ends_the_run_and_leaves_no_half_of_a_pair(
    jamendo: FakeJamendo, options: JamendoOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def write_until_full(path: Path, data: bytes) -> int:
        if "audio_snippets" in path.parts and len(files(options.folder)) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_until_full)
    with pytest.raises(WriteError, match="No space left"):
        collected(options)
    monkeypatch.undo()
    done = ids(options.folder)
    assert 0 < len(done) < 4
    assert len(files(options.folder)) == 1 + 2 * len(done)
    collected(options)
    assert ids(options.folder) == ["1", "2", "3", "4"]
