"""Audio files in every format that covergen writes, read back with PyAV."""

from pathlib import Path

import av
import numpy as np
import pytest

from covergen.audio.sound_file import SUFFIXES, write_sound

RATE_HZ = 48_000
SECONDS = 2.5


def tone(channels: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    time = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    return np.stack(
        [0.5 * np.sin(2 * np.pi * 440 * (k + 1) * time) for k in range(channels)]
    ).astype(np.float32)


@pytest.mark.parametrize(
    ("suffix", "channels"),
    # FFmpeg's own Vorbis encoder knows stereo alone.
    [*((s, 2) for s in SUFFIXES), *((s, 1) for s in SUFFIXES if s != ".ogg")],
)
def test_written_audio_decodes_to_the_same_tone(tmp_path: Path, suffix: str, channels: int) -> None:
    path = tmp_path / f"tone{suffix}"
    write_sound(path, tone(channels), sample_rate_hz=RATE_HZ)
    with av.open(path) as container:
        (stream,) = container.streams.audio
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(SECONDS, abs=0.05)
        resampler = av.AudioResampler("fltp", layout=stream.layout, rate=RATE_HZ)
        frames = [r for f in container.decode(stream) for r in resampler.resample(f)]
    heard = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
    for number, channel in enumerate(heard):
        middle = channel[RATE_HZ : RATE_HZ + RATE_HZ // 2]
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
        hertz = spectrum.argmax() * RATE_HZ / len(middle)
        assert hertz == pytest.approx(440 * (number + 1), abs=4)
        assert middle.std() == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def test_failed_write_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_sound(tmp_path / "no folder" / "tone.mp3", tone(1), sample_rate_hz=RATE_HZ)
    assert list(tmp_path.iterdir()) == []
