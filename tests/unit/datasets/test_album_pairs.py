"""Making pairs from a library: which tracks, which cover, and an excerpt of what is embedded."""

import io
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from covergen.core.album import Action, Album, Track
from covergen.core.errors import DecodeError
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.datasets.album_pairs import Selection, make_pair, plan_pairs, stem_of
from tests.media import encode, picture_bytes, put_picture, sound
from tests.values import make_album, make_track

THREE = Selection(per_album=3, windows=3, include_painted=False)
BROKEN = picture_bytes("png", 300)[:150]


def album_of(folder: Path, tracks: int, *, cover: bytes | None = None) -> Album:
    """An album of missing files, or of FLAC files with a cover."""
    paths = [folder / f"{number:02}.flac" for number in range(1, tracks + 1)]
    if cover is not None:
        for path in paths:
            put_picture(encode(path, "flac", seconds=0.1), "flac", cover)
    has_art = cover is not None
    songs = tuple(make_track(path, container="flac", has_art=has_art) for path in paths)
    return make_album(folder, title="Half Light", artist="Ada Lind", date="1997", tracks=songs)


def painted() -> bytes:
    texts = PngInfo()
    texts.add_itxt("covergen:version", "1.0")
    stream = io.BytesIO()
    Image.new("RGB", (64, 64)).save(stream, "PNG", pnginfo=texts)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("tracks", "per_album", "numbers"),
    [
        (10, 3, ["02", "06", "09"]),
        (10, 1, ["06"]),
        (2, 5, ["01", "02"]),
        (12, 4, ["02", "05", "08", "11"]),
    ],
)
def test_tracks_are_spread_over_the_album(
    tmp_path: Path, tracks: int, per_album: int, numbers: list[str]
) -> None:
    (tmp_path / "cover.png").write_bytes(picture_bytes())
    album = replace(album_of(tmp_path, tracks), cover_file=tmp_path / "cover.png")
    plan, _ = plan_pairs(album, replace(THREE, per_album=per_album), done=set())
    assert [track.path.stem for track in plan.targets] == numbers


def test_existing_pairs_are_skipped_without_reading_covers(tmp_path: Path) -> None:
    album = album_of(tmp_path, 3, cover=picture_bytes())
    stems = [stem_of(album, track) for track in album.tracks]
    plan, cover = plan_pairs(album, THREE, done={stems[0], stems[2]})
    assert (plan.targets, plan.action) == (album.tracks[1:2], Action.COLLECT)
    assert cover is not None
    for track in album.tracks:
        track.path.unlink()
    plan, cover = plan_pairs(album, THREE, done=set(stems))
    assert (plan.action, plan.reason, cover) == (Action.SKIP, Reason.COLLECTED, None)


@pytest.mark.parametrize(
    ("cover", "reason"),
    [(None, Reason.NO_COVER), (painted(), Reason.PAINTED_COVER), (BROKEN, Reason.BAD_COVER)],
)
def test_album_without_usable_cover_is_skipped(
    tmp_path: Path, cover: bytes | None, reason: Reason
) -> None:
    plan, found = plan_pairs(album_of(tmp_path, 2, cover=cover), THREE, done=set())
    assert (plan.action, plan.reason, found) == (Action.SKIP, reason, None)


def test_cover_is_the_unchanged_file(tmp_path: Path) -> None:
    data = picture_bytes("jpeg", 100)
    _, cover = plan_pairs(album_of(tmp_path / "a", 1, cover=data), THREE, done=set())
    assert cover is not None
    assert (cover.data, cover.extension, cover.width) == (data, ".jpg", 100)
    with_painted = replace(THREE, include_painted=True)
    _, cover = plan_pairs(album_of(tmp_path / "b", 1, cover=painted()), with_painted, done=set())
    assert cover is not None
    assert cover.data == painted()


@pytest.mark.parametrize("embedded", [painted(), BROKEN], ids=["painted", "broken"])
def test_cover_file_replaces_an_unusable_embedded_cover(tmp_path: Path, embedded: bytes) -> None:
    data = picture_bytes("png", 90)
    (tmp_path / "folder.png").write_bytes(data)
    album = album_of(tmp_path / "a", 1, cover=embedded)
    _, cover = plan_pairs(replace(album, cover_file=tmp_path / "folder.png"), THREE, done=set())
    assert cover is not None
    assert cover.data == data


def test_stems_are_readable_stable_and_unique(tmp_path: Path) -> None:
    album = album_of(tmp_path, 2)
    stems = [stem_of(album, track) for track in album.tracks]
    assert stems == [stem_of(album, track) for track in album.tracks]
    assert len(set(stems)) == 2
    assert stems[0].startswith("ada-lind-half-light-01-")
    discs = [make_track(tmp_path / disc / "01.flac") for disc in ("CD1", "CD2")]
    assert len({stem_of(album, track) for track in discs}) == 2
    assert stem_of(replace(album, key="another edition"), album.tracks[0]) != stems[0]


@pytest.mark.parametrize("name", ["東京 🎧", "../../etc", "a/b\\c:d", "x" * 300, "", "\udcff"])
def test_stem_is_a_valid_file_name_everywhere(tmp_path: Path, name: str) -> None:
    album = replace(album_of(tmp_path, 1), artist=name, title=name)
    stem = stem_of(album, make_track(tmp_path / f"{name.replace('/', '')[:99]}.mp3"))
    assert set(stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(stem) < 80


def excerpt_of(track: Track, folder: Path) -> NDArray[np.float32]:
    """Make a pair with three windows and decode its excerpt: mono, 48 kHz."""
    album = album_of(track.path.parent, 1)
    cover = Picture.parse(picture_bytes())
    row = make_pair(track, album, cover, folder, windows=3, source="s")
    with av.open(folder / "audio_snippets" / row["audio_filename"]) as file:
        assert file.streams.audio[0].sample_rate == 48_000
        samples = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    assert samples.size == float(row["actual_snippet_duration_s"]) * 48_000
    return np.asarray(samples, dtype=np.float32)


def correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def test_excerpt_consists_of_the_embedded_windows_and_is_small(tmp_path: Path) -> None:
    samples = sound("chord", 60, sample_rate=48_000)
    path = encode(tmp_path / "in/song.flac", "flac", samples, sample_rate=48_000)
    excerpt = excerpt_of(make_track(path), tmp_path / "out")
    # Three windows of 10 s around the centers of three thirds: 10, 30 and 50 s.
    mono = samples.mean(axis=0)
    for number, center in enumerate((10, 30, 50)):
        window = excerpt[number * 480_000 : (number + 1) * 480_000]
        expected = mono[(center - 5) * 48_000 : (center + 5) * 48_000]
        assert correlation(window, expected) > 0.99
    (file,) = (tmp_path / "out/audio_snippets").iterdir()
    assert file.stat().st_size < 700_000


def test_undecodable_track_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "song.flac").write_bytes(b"fLaC" + bytes(1000))
    with pytest.raises(DecodeError):
        excerpt_of(make_track(tmp_path / "song.flac"), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*"))
    assert (tmp_path / "song.flac").read_bytes() == b"fLaC" + bytes(1000)
