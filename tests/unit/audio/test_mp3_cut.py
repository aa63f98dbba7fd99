"""Excerpts of MP3 files: their middle, bit for bit."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
from mutagen.mp3 import MP3
from numpy.typing import NDArray

from covergen.audio.mp3_cut import cut_mp3
from covergen.core.errors import DecodeError
from tests.media import encode

FRAME = 1152  # samples of an MP3 frame at 44.1 kHz


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tags = {"title": "Song", "artist": "Ann"}
    path = tmp_path_factory.mktemp("mp3") / "song.mp3"
    return encode(path, "mp3", seconds=20, kind="melody", tags=tags)


def decoded(file: Path | bytes) -> NDArray[np.float32]:
    """(channels, samples), as FFmpeg decodes it."""
    source = io.BytesIO(file) if isinstance(file, bytes) else str(file)
    with av.open(source, "r") as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def test_excerpt_is_the_middle_bit_for_bit(song: Path) -> None:
    excerpt, seconds = cut_mp3(song, seconds=6)
    whole, part = decoded(song), decoded(excerpt)
    assert seconds == part.shape[1] / 44_100
    assert seconds == pytest.approx(6, abs=0.05)
    known = part[0, 10 * FRAME : 14 * FRAME]  # past what a decoder needs to get going
    starts = np.flatnonzero(np.isclose(whole[0], known[0], rtol=0, atol=0))
    places = [s for s in starts if np.array_equal(whole[0, s : s + known.size], known)]
    assert len(places) == 1
    begin = (places[0] - 10 * FRAME) / 44_100
    assert begin == pytest.approx((20 - 6) / 2, abs=0.1)


def test_excerpt_has_a_correct_length_and_no_tags(song: Path) -> None:
    excerpt, _ = cut_mp3(song, seconds=6)
    read = MP3(io.BytesIO(excerpt))
    assert read.info.length == pytest.approx(6, abs=0.05)
    assert read.info.bitrate == pytest.approx(MP3(song).info.bitrate, abs=100)
    assert read.tags is None


def test_shorter_file_is_kept_whole(song: Path) -> None:
    excerpt, seconds = cut_mp3(song, seconds=30)
    assert seconds == pytest.approx(20, abs=0.1)
    assert decoded(excerpt).shape[1] == pytest.approx(20 * 44_100, abs=2 * FRAME)


def test_unplayable_file_is_refused(song: Path, tmp_path: Path) -> None:
    data = song.read_bytes()
    for name, content in {
        "empty": b"",
        "page": b"<html>no such song</html>" * 100,
        "start": data[:300],
        "noise": bytes(range(256)) * 400,
    }.items():
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(DecodeError) as raised:
            cut_mp3(file, seconds=6)
        assert raised.value.path == file


def test_other_codecs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="flac, not MP3"):
        cut_mp3(encode(tmp_path / "song.mp3", "flac", seconds=1), seconds=6)
