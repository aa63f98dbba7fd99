"""Damaged, malicious or silent files: a DecodeError, quickly and in little memory."""

import os
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest

from covergen.audio.same_sound import same_sound
from covergen.audio.source import _View
from covergen.audio.window_positions import WINDOW_SAMPLES
from covergen.audio.windows import read_excerpt
from covergen.core.errors import DecodeError
from covergen.core.reasons import Reason
from tests.media import (
    CONTAINERS,
    EXTENSION,
    corrupted,
    encode,
    truncated,
)
from tests.unit.audio.files import LONG_ENCODED, raw_wav


def header_of(path: Path, container: str, place: int, form: str, value: int) -> Path:
    """Write a file with one number of its header changed."""
    encode(path, container, seconds=0.5)
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, place, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("container", "place", "form", "value"),
    [
        ("dsf", 56, "<I", 2_133_528_832),  # in bits a second
        ("wav", 22, "<H", 65),
        ("wav", 24, "<I", 400_000_000),
        ("ape", 72, "<I", 335_566_370),
    ],
)
def test_implausible_header_uses_little_memory(
    tmp_path: Path, container: str, place: int, form: str, value: int
) -> None:
    """FFmpeg's resampler alone would take gigabytes."""
    with pytest.raises(DecodeError, match="implausible"):
        read_excerpt(header_of(tmp_path / "a", container, place, form, value), 3)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell memory otherwise")
def test_packet_of_hours_uses_little_memory(tmp_path: Path) -> None:
    """Monkey's Audio writes silence of any length as a mere flag."""
    path = encode(tmp_path / "a.ape", "ape")
    data = bytearray(path.read_bytes())
    blocks = 150_000_000
    struct.pack_into("<3I", data, 56, blocks, blocks, 1)  # all in one frame
    (frame,) = struct.unpack_from("<I", data, 76)
    struct.pack_into("<2I", data, frame, 1 << 31, 3)  # flags follow: silence left and right
    path.write_bytes(data)
    script = f"""
import pathlib, re
from covergen.audio.windows import read_excerpt
try:
    read_excerpt(pathlib.Path({str(path)!r}), 1).decode()
except Exception as error:
    status = pathlib.Path("/proc/self/status").read_text()
    print(type(error).__name__, re.search(r"VmHWM:\\s+([0-9]+) kB", status)[1])
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    name, peak_kibibytes = run.stdout.split()
    assert name == "DecodeError"
    assert int(peak_kibibytes) < 200 << 10


@pytest.mark.parametrize(("layout", "heard"), [("stereo", True), ("5.1", False)])
def test_oversized_frame_is_not_decoded(tmp_path: Path, layout: str, heard: bool) -> None:
    """The True Audio format has frames of 1.04 s at whatever rate its header names."""
    path = tmp_path / "a.tta"
    with av.open(path, "w") as file:
        stream = file.add_stream("tta", rate=768_000, layout=layout, format="s16")
        samples = np.zeros((1, 2 * 768_000 * stream.codec_context.channels), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.sample_rate = 768_000
        file.mux([*stream.encode(frame), *stream.encode(None)])
    excerpt = read_excerpt(path, 1)
    if heard:
        assert excerpt.decode().shape == (1, WINDOW_SAMPLES)
    else:
        with pytest.raises(DecodeError, match="damaged throughout"):
            excerpt.decode()


def test_streams_that_start_mid_file_are_ignored(tmp_path: Path) -> None:
    """As in recordings of radio stations; PyAV supports only streams known at the start."""
    speech = encode(tmp_path / "a.spx", "speex").read_bytes()
    music = encode(tmp_path / "a.opus", "opus", seconds=12, kind="noise")
    music.write_bytes(music.read_bytes() + speech)
    assert read_excerpt(music, 1).decode().shape == (1, WINDOW_SAMPLES)
    assert read_excerpt(music, 3).decode().shape[1] == WINDOW_SAMPLES
    with pytest.raises(DecodeError):  # nor can it be told whether all of it is left
        same_sound(music, music)


def test_endless_rereading_ends(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", "wav", seconds=0.5)
    with path.open("rb") as file:
        view = _View(file, 0, path.stat().st_size)
        rounds = 0
        while view.read(1 << 20):
            view.seek(0)
            rounds += 1
    assert 100 < rounds < 1_000_000


def test_unsupported_sample_format_raises_decode_error(tmp_path: Path) -> None:
    path = raw_wav(tmp_path / "a.wav", np.ones(48_000, dtype="<i8"))
    with pytest.raises(DecodeError, match="s64"):
        read_excerpt(path, 1).decode()


@pytest.mark.parametrize(("end", "left"), [(0.50, 3), (0.60, 2)])
def test_window_is_used_if_half_of_it_can_be_decoded(tmp_path: Path, end: float, left: int) -> None:
    """Of three, that in the middle is damaged from 36 % of the file on; it ends at two thirds."""
    path = encode(tmp_path / "a.flac", "flac", seconds=30, kind="noise")
    first, middle, last = read_excerpt(path, 3).decode()
    data = bytearray(path.read_bytes())
    gone = slice(int(0.36 * len(data)), int(end * len(data)))
    data[gone] = bytes(gone.stop - gone.start)
    path.write_bytes(data)
    heard = read_excerpt(path, 3).decode()
    assert len(heard) == left
    np.testing.assert_array_equal(heard[0], first)
    np.testing.assert_array_equal(heard[-1], last)
    assert not any(np.array_equal(window, middle) for window in heard)


def test_padding_longer_than_the_audio_raises_decode_error(tmp_path: Path) -> None:
    """LAME's tag has the number of samples to skip at both ends: here 1024, of some hundreds."""
    path = encode(tmp_path / "a.mp3", "mp3", seconds=0.02, sample_rate=22_050)
    data = bytearray(path.read_bytes())
    lame = data.index(b"Info") + 120
    data[lame + 21 : lame + 24] = bytes.fromhex("400400")
    path.write_bytes(data)
    with pytest.raises(DecodeError, match="damaged throughout"):
        read_excerpt(path, 1).decode()


@pytest.mark.parametrize("container", [c for c in LONG_ENCODED if c != "mp4"])
def test_truncated_file_is_decoded_as_far_as_possible(tmp_path: Path, container: str) -> None:
    path = encode(tmp_path / "a", container, seconds=25, kind="noise")
    heard = read_excerpt(truncated(path, 0.7), 2).decode()
    assert heard.shape == (2, WINDOW_SAMPLES)
    assert read_excerpt(truncated(path, 0.2), 2).decode().shape == (1, WINDOW_SAMPLES)


@pytest.mark.parametrize("container", CONTAINERS)
def test_damage_is_skipped_or_reported(
    tmp_path: Path, container: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for seed in range(4):
        path = encode(tmp_path / "a", container, seconds=0.5, kind="noise")
        corrupted(path, seed, share=0.003, spared=0 if seed % 2 else 500)
        try:
            heard = read_excerpt(path, 2).decode()
        except DecodeError:
            continue
        assert np.isfinite(heard).all()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "content", [b"", b"Just a text.\n" * 500, b"ID3\x04\0\0\0\0\0\0", b"fLaC", os.urandom(50_000)]
)
def test_file_without_audio_raises_decode_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    with pytest.raises(DecodeError) as caught:
        read_excerpt(path, 3).decode()
    assert caught.value.path == path
    assert caught.value.reason is Reason.UNDECODABLE


def test_video_without_audio_raises_decode_error(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as file:
        stream = file.add_stream("mpeg4", rate=24)
        stream.width = stream.height = 32
        for _ in range(24):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with pytest.raises(DecodeError, match="no audio"):
        read_excerpt(path, 3)


def test_playlist_cannot_open_other_files(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp3", "mp3")
    playlist = tmp_path / "b.mp3"
    playlist.write_text("ffconcat version 1.0\nfile a.mp3\n")
    with pytest.raises(DecodeError):
        read_excerpt(playlist, 1)
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\na.mp3\n#EXT-X-ENDLIST\n")
    with pytest.raises(DecodeError):
        read_excerpt(playlist, 1)


@pytest.mark.parametrize("name", [b"\xff\xfe caf\xe9.mp3", b"http:a.mp3", "🎵 ü.wav".encode()])
def test_special_file_names_are_opened_as_files(
    tmp_path: Path, name: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode(tmp_path / "plain", "mp3")
    path = Path(os.fsdecode(name))
    monkeypatch.chdir(tmp_path)
    shutil.copy("plain", path)
    assert read_excerpt(path, 1).decode().shape == (1, WINDOW_SAMPLES)


def test_threads_decode_identically(tmp_path: Path) -> None:
    paths = [
        encode(tmp_path / f"a{EXTENSION[c]}", c, seconds=12, kind="noise")
        for c in ("mp3", "flac", "mp4", "vorbis")
    ]
    alone = [read_excerpt(path, 2).decode() for path in paths]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda path: read_excerpt(path, 2).decode(), paths))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
