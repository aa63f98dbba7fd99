"""Valid files with wrong time stamps, or that break after a seek: decoded completely."""

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from covergen.audio.preview_excerpt import preview_excerpt
from covergen.audio.window_positions import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from covergen.audio.windows import read_excerpt
from covergen.core.errors import DecodeError
from tests.media import encode, sound
from tests.unit.audio.files import ogg_checksum

_PAGE_RATE_HZ = 32_000


def without_times(path: Path, samples: NDArray[np.float32]) -> Path:
    """Write Ogg Vorbis at 48 kHz without time stamps."""
    with av.open(path, "w", format="ogg") as file:
        stream = file.add_stream("vorbis", rate=48_000, options={"strict": "experimental"})
        stream.layout = "stereo"
        for start in range(0, samples.shape[1], 64):
            block = np.ascontiguousarray(samples[:, start : start + 64])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 48_000, None
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def mp3(path: Path, samples: NDArray[np.float32], rate: int = 44_100) -> bytes:
    """Frames of MPEG audio and nothing else."""
    data = encode(path, "mp3", samples, sample_rate=rate).read_bytes()
    return data[data.index(data[:2], 4) :]  # behind LAME's own frame, which holds no sound


def seconds_decoded(window: NDArray[np.float32]) -> float:
    """Of a track of more than five seconds, which is followed by silence."""
    return int(np.flatnonzero(np.abs(window) > 1e-3)[-1]) / SAMPLE_RATE_HZ


def silent_musepack(path: Path, frames: int) -> Path:
    """Stream version 7: frames of 1152 samples at 44.1 kHz, in 32-bit words of reversed bytes."""
    bits = "0" * 8 + "".join(f"{8:020b}" + "0" * 8 for _ in range(frames)) + "0" * 64
    words = [int(bits[at : at + 32].ljust(32, "0"), 2) for at in range(0, len(bits), 32)]
    header = b"MP+\x07" + struct.pack("<I", frames) + bytes(16)
    path.write_bytes(header + struct.pack(f"<{len(words)}I", *words))
    return path


def test_track_without_time_stamps_is_decoded_from_its_start(tmp_path: Path) -> None:
    samples = sound("noise", 14, sample_rate=48_000)
    path = without_times(tmp_path / "a.ogg", samples)
    with av.open(path) as file:
        whole = np.concatenate([f.to_ndarray() for f in file.decode(audio=0)], axis=1).mean(axis=0)
    assert whole.size > 13.9 * 48_000
    excerpt = read_excerpt(path, 2)
    first, second = excerpt.decode()
    np.testing.assert_array_equal(first, whole[:WINDOW_SAMPLES])
    np.testing.assert_array_equal(second, whole[-WINDOW_SAMPLES:])
    other = without_times(tmp_path / "b.ogg", sound("noise", 14, sample_rate=48_000, seed=1))
    assert read_excerpt(other, 2).key != excerpt.key
    assert preview_excerpt(path)


def test_track_without_time_stamps_is_decoded_past_damage(tmp_path: Path) -> None:
    path = without_times(tmp_path / "a.ogg", sound("noise", 14, sample_rate=48_000))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    path.write_bytes(data)
    heard = read_excerpt(path, 2).decode()
    assert heard.shape == (2, WINDOW_SAMPLES)
    assert heard.std(axis=1).min() > 0.01


def test_last_packet_of_negative_duration_is_ignored(tmp_path: Path) -> None:
    """Its negative duration would make a one-second track 25 hours long."""
    path = encode(tmp_path / "a.ogg", "vorbis", seconds=1, sample_rate=22_050, kind="noise")
    whole = read_excerpt(path, 1).decode()
    data = bytearray(path.read_bytes())
    page = data.rindex(b"OggS")
    (place,) = struct.unpack_from("<Q", data, page + 6)
    struct.pack_into("<Q", data, page + 6, place - 1200)
    data[page + 22 : page + 26] = ogg_checksum(data[page:])
    path.write_bytes(data)
    heard = read_excerpt(path, 3).decode()
    assert heard.shape == (1, WINDOW_SAMPLES)
    np.testing.assert_array_equal(heard[0, :30_000], whole[0, :30_000])


@pytest.mark.parametrize("rate", [44_100, 22_050])
def test_mp3_with_mixed_frames_is_decoded_completely(tmp_path: Path, rate: int) -> None:
    mono = mp3(tmp_path / "a.mp3", sound("noise", 2, channels=1))
    stereo = mp3(tmp_path / "b.mp3", sound("noise", 4, sample_rate=rate), rate)
    path = tmp_path / "both.mp3"
    path.write_bytes(mono + stereo)
    (heard,) = read_excerpt(path, 1).decode()
    assert 5.9 < seconds_decoded(heard) < 6.2
    with av.open(io.BytesIO(preview_excerpt(path))) as file:
        assert 5.9 < sum(f.samples for f in file.decode(audio=0)) / _PAGE_RATE_HZ < 6.2


@pytest.mark.parametrize("frames", [10, 39, 64])
def test_short_musepack_track_is_decoded_completely(tmp_path: Path, frames: int) -> None:
    """After a seek, its decoder skips 32 frames (0.8 s)."""
    heard = read_excerpt(silent_musepack(tmp_path / "a.mpc", frames), 3).decode()
    np.testing.assert_array_equal(heard, np.zeros((1, WINDOW_SAMPLES)))


def test_mostly_damaged_track_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.m4a", "mp4", seconds=25, kind="noise")
    data = bytearray(path.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov")
    gone = slice(start + (end - start) // 4, end)
    data[gone] = b"\xff" * (gone.stop - gone.start)
    path.write_bytes(data)
    with pytest.raises(DecodeError, match="damaged"):
        read_excerpt(path, 1).decode()
