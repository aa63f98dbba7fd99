"""Windows: their positions, samples and keys, compared with other decoders."""

import math
import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from covergen.audio.window_positions import WINDOW_SAMPLES, place_windows
from covergen.audio.windows import read_excerpt
from tests.media import (
    CONTAINERS,
    encode,
    picture_bytes,
    put_picture,
    put_tags,
    sound,
)
from tests.unit.audio.files import LONG_ENCODED, ogg_checksum, raw_wav, write_wav


@pytest.fixture(scope="module")
def long_mp3(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An MP3 file of 25 seconds, with a Xing header."""
    path = tmp_path_factory.mktemp("long") / "a.mp3"
    return encode(path, "mp3", seconds=25, kind="noise").read_bytes()


def decoded_whole(path: Path) -> tuple[NDArray[np.float64], int]:
    """The mean of all channels of a file from its beginning to its end, and its sample rate.

    What a decoder leaves out at the beginning is silence.
    """
    with av.open(path) as file:
        stream = file.streams.audio[0]
        frames = list(file.decode(stream))
        late = ((frames[0].pts or 0) - (stream.start_time or 0)) * (stream.time_base or 0)
    rate, channels = frames[0].sample_rate, frames[0].layout.nb_channels
    blocks = []
    for frame in frames:
        block = frame.to_ndarray()
        scale = 2.0 ** (8 * block.itemsize - 1) if block.dtype.kind == "i" else 1.0
        blocks.append((block if frame.format.is_planar else block.reshape(-1, channels).T) / scale)
    blocks.insert(0, np.zeros((channels, max(0, round(late * rate)))))
    return np.concatenate(blocks, axis=1).mean(axis=0), rate


def pcm(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.round(samples * 32_767).astype(np.int16)


def test_windows_are_evenly_spaced_and_inside() -> None:
    assert place_windows(Fraction(240), 3) == [35, 115, 195]
    assert place_windows(Fraction(240), 1) == [115]
    assert place_windows(Fraction(10), 1) == [0]
    assert place_windows(Fraction(30), 3) == [0, 10, 20]


def test_short_track_has_only_the_windows_that_cover_it() -> None:
    assert place_windows(Fraction(4), 3) == [0]
    assert place_windows(Fraction(12), 3) == [0, 2]
    assert place_windows(Fraction(0), 3) == [0]


@pytest.mark.parametrize("channels", [1, 2])
def test_ten_seconds_of_wav_at_48_khz_are_its_own_samples(tmp_path: Path, channels: int) -> None:
    samples = pcm(sound("noise", 10, sample_rate=48_000, channels=channels))
    heard = read_excerpt(write_wav(tmp_path / "a.wav", samples), 1).decode()
    expected = (samples.astype(np.float64) / 32_768).mean(axis=0).astype(np.float32)
    np.testing.assert_array_equal(heard, expected[np.newaxis])


@pytest.mark.parametrize("container", LONG_ENCODED)
def test_seeking_finds_the_same_samples_as_decoding_from_the_start(
    tmp_path: Path, container: str
) -> None:
    # No noise: AAC's decoder makes its own of what the encoder calls noise, never twice the same.
    path = encode(tmp_path / "a", container, seconds=25, sample_rate=48_000, kind="chord")
    whole, rate = decoded_whole(path)
    assert rate == 48_000
    first, second = read_excerpt(path, 2).decode()
    # The header's idea of the length may differ from the decoder's by a frame, WMA's clock
    # by a millisecond: look for the window around where it should begin.
    for window, start in ((first, 1.25), (second, 13.75)):
        middle = whole[round(start * rate) + 48_000 :][:480]
        offset = find(middle, window[40_000:56_000]) - 8_000
        assert abs(offset) <= 2_400
        begin = round(start * rate) - offset
        assert np.abs(window - whole[begin : begin + WINDOW_SAMPLES]).max() < 1e-4


def find(piece: NDArray[np.float64], samples: NDArray[np.float32]) -> int:
    """Where in the samples the piece lies."""
    views = np.lib.stride_tricks.sliding_window_view(samples, piece.size)
    return int(np.abs(views - piece).max(axis=1).argmin())


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_is_decoded(tmp_path: Path, container: str) -> None:
    path = encode(tmp_path / "a", container, seconds=1, kind="noise")
    heard = read_excerpt(path, 3).decode()
    assert heard.shape == (1, WINDOW_SAMPLES)
    assert heard.dtype == np.float32
    assert np.isfinite(heard).all()
    whole, rate = decoded_whole(path)
    loudness = float(np.sqrt(np.mean(np.square(whole))))
    part = heard[0, : int(whole.size / rate * 48_000)]
    # DSD's noise above 24 kHz is in the decoder's samples, and not in ours.
    assert float(np.sqrt(np.mean(np.square(part)))) == pytest.approx(loudness, rel=0.25)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 44_101, 96_000])
def test_other_rates_are_resampled_80_db_clean(tmp_path: Path, rate: int) -> None:
    pitches = [110.0, 997.0, 3_000.0]
    tones = [np.sin(math.tau * p * np.arange(10 * rate) / rate + p) for p in pitches]
    path = write_wav(tmp_path / "a.wav", pcm(np.mean(tones, axis=0, keepdims=True)), rate)
    heard = read_excerpt(path, 1).decode()[0]
    time = np.arange(WINDOW_SAMPLES) / 48_000
    expected = np.mean([np.sin(math.tau * p * time + p) for p in pitches], axis=0)
    inside = slice(4_800, -4_800)
    error = np.sqrt(np.mean(np.square(heard[inside] - expected[inside])))
    assert 20 * math.log10(error / np.sqrt(np.mean(np.square(expected)))) < -80


@pytest.mark.parametrize(("kind", "scale"), [("<u1", 0), ("<i4", 31), ("<f4", None), ("<f8", None)])
def test_every_sample_format_has_full_scale_one(
    tmp_path: Path, kind: str, scale: int | None
) -> None:
    wave_ = 0.5 * np.sin(math.tau * 440 * np.arange(480_000) / 48_000)
    if scale is None:
        samples = wave_.astype(kind)
    elif kind == "<u1":
        samples = np.round(wave_ * 127 + 128).astype(kind)
    else:
        samples = np.round(wave_ * 2**scale).astype(kind)
    heard = read_excerpt(raw_wav(tmp_path / "a.wav", samples), 1).decode()
    assert np.abs(heard[0] - wave_).max() < (0.01 if kind == "<u1" else 1e-6)


def test_shorter_audio_is_repeated_then_padded(tmp_path: Path) -> None:
    samples = pcm(sound("noise", 3, sample_rate=48_000, channels=1))
    heard = read_excerpt(write_wav(tmp_path / "a.wav", samples), 3).decode()
    once = samples[0].astype(np.float32) / 32_768
    expected = np.concatenate([once, once, once, np.zeros(48_000, np.float32)])
    np.testing.assert_array_equal(heard, expected[np.newaxis])


def test_invalid_samples_are_silence(tmp_path: Path) -> None:
    samples = np.full(480_000, 0.25, dtype="<f4")
    samples[1000:1003] = [np.nan, np.inf, 1e30]
    heard = read_excerpt(raw_wav(tmp_path / "a.wav", samples), 1).decode()[0]
    np.testing.assert_array_equal(heard[1000:1003], 0)
    np.testing.assert_array_equal(np.delete(heard, [1000, 1001, 1002]), 0.25)


@pytest.mark.parametrize("container", CONTAINERS)
def test_tags_do_not_change_the_key(tmp_path: Path, container: str) -> None:
    seconds = 11 if container in LONG_ENCODED else 1
    path = encode(tmp_path / "a", container, seconds=seconds, kind="noise", seed=1)
    before = read_excerpt(path, 3)
    put_tags(path, container, {"title": "A" * 5_000, "artist": "B"})
    put_picture(path, container, picture_bytes() + os.urandom(300_000))
    put_tags(path, container, {"album": "C" * 100_000})
    after = read_excerpt(path, 3)
    assert after.key == before.key
    np.testing.assert_array_equal(after.decode(), before.decode())


@pytest.mark.parametrize("container", ["mp3", "flac", "mp4"])
def test_different_audio_has_a_different_key(tmp_path: Path, container: str) -> None:
    keys = {
        read_excerpt(
            encode(tmp_path / f"{seed}", container, seconds=2, kind="noise", seed=seed), 3
        ).key
        for seed in (1, 2)
    }
    assert len(keys) == 2


def test_different_windows_have_a_different_key(tmp_path: Path, long_mp3: bytes) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(long_mp3)
    assert len({read_excerpt(path, windows).key for windows in (1, 2, 3)}) == 3


def test_tags_around_an_mp3_without_a_length_do_not_change_the_key(
    tmp_path: Path, long_mp3: bytes
) -> None:
    """Without a Xing header FFmpeg takes the duration from the file's size."""
    path = tmp_path / "a.mp3"
    assert b"Info" in long_mp3[:200]
    path.write_bytes(long_mp3[long_mp3.index(b"\xff\xfb", 4) :])
    key = read_excerpt(path, 2).key
    item = struct.pack("<II", 400_000, 0) + b"Title\0" + b"x" * 400_000
    footer = struct.pack("<8s4I8x", b"APETAGEX", 2000, len(item) + 32, 1, 0)
    id3v1 = b"TAG" + b"y" * 125
    path.write_bytes(path.read_bytes() + item + footer + id3v1)
    put_tags(path, "mp3", {"title": "z" * 300_000})
    assert read_excerpt(path, 2).key == key


def test_flac_without_length_is_measured(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.flac", "flac", seconds=25, kind="noise")
    expected = read_excerpt(path, 2).decode()
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # STREAMINFO's total samples: 36 bits of which 0 means unknown
    data[22:26] = bytes(4)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_excerpt(path, 2).decode(), expected)


def test_mp3_with_wrong_length_is_measured(tmp_path: Path, long_mp3: bytes) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(long_mp3)
    expected = read_excerpt(path, 2).decode()
    data = bytearray(long_mp3)
    place = data.index(b"Info") + 8
    (frames,) = struct.unpack_from(">I", data, place)
    struct.pack_into(">I", data, place, 9 * frames)
    path.write_bytes(data)
    first, second = read_excerpt(path, 2).decode()
    assert min(first.std(), second.std()) > expected.std() / 2
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("place", [10**12, 2**63 - 2])
@pytest.mark.parametrize("container", ["opus", "oggflac"])
def test_ogg_with_wrong_length_is_measured(tmp_path: Path, container: str, place: int) -> None:
    """The last page tells where the sound ends."""
    path = encode(tmp_path / "a", container, seconds=25, sample_rate=48_000, kind="noise")
    expected = read_excerpt(path, 2).decode()
    data = bytearray(path.read_bytes())
    page = data.rindex(b"OggS")
    data[page + 6 : page + 14] = place.to_bytes(8, "little")
    data[page + 22 : page + 26] = ogg_checksum(data[page:])
    path.write_bytes(data)
    found = read_excerpt(path, 2).decode()
    assert found.shape == expected.shape
    assert found.std() == pytest.approx(expected.std(), rel=0.05)
