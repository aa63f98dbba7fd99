"""Excerpts for the preview page, from every container."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from covergen.audio.preview_excerpt import preview_excerpt
from tests.media import EXTENSION, encode, put_tags, sound

_RATE_HZ = 32_000


def _heard(mp3: bytes) -> NDArray[np.float32]:
    with av.open(io.BytesIO(mp3), "r") as file:
        stream = file.streams.audio[0]
        assert (stream.codec_context.name, stream.rate) == ("mp3float", _RATE_HZ)
        assert (stream.codec_context.channels, dict(file.metadata)) == (1, {})
        return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(stream)])


@pytest.mark.parametrize("container", ["mp3", "mp4", "opus", "dsf"])
def test_excerpt_is_playable(tmp_path: Path, container: str) -> None:
    path = encode(tmp_path / f"a{EXTENSION[container]}", container, seconds=1.5)
    put_tags(path, container, {"title": "Secret"})
    excerpt = preview_excerpt(path, seconds=1)
    heard = _heard(excerpt)
    assert 0.95 < heard.size / _RATE_HZ < 1.1
    assert np.abs(heard).max() > 0.1
    assert len(excerpt) < 12_000


def test_excerpt_is_the_middle_of_the_track(tmp_path: Path) -> None:
    silence, tone = np.zeros((2, 44_100 * 4), np.float32), sound("tone", 4)
    samples = np.concatenate([silence, tone, silence], axis=1)
    path = encode(tmp_path / "a.flac", "flac", samples)
    heard = _heard(preview_excerpt(path, seconds=2))
    middle = heard[_RATE_HZ // 4 : -_RATE_HZ // 4]
    assert np.abs(middle.reshape(-1, 1000)).max(axis=1).min() > 0.1, "it sounds throughout"


def test_short_track_is_kept_whole(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp3", "mp3", seconds=0.5)
    assert 0.5 <= _heard(preview_excerpt(path)).size / _RATE_HZ < 0.7


def test_audio_above_full_scale_is_not_clipped(tmp_path: Path) -> None:
    both = np.tile(sound("tone", 1, channels=1) * 1.98, (2, 1))  # as one channel, 3 dB too loud
    heard = _heard(preview_excerpt(encode(tmp_path / "a.wav", "wav", both)))
    spectrum = np.abs(np.fft.rfft(heard[8000:24_000] * np.hanning(16_000))) ** 2
    peak = int(spectrum.argmax())
    harmonics = sum(spectrum[n * peak - 3 : n * peak + 4].sum() for n in (3, 5))
    assert harmonics < 1e-3 * spectrum[peak - 3 : peak + 4].sum()
