"""Four-minute tracks that all differ."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
import numpy as np

from covergen.core.album import Track

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["FORMATS", "Format", "make_songs"]

_SECONDS = 240
_RATE_HZ = 44_100


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """An audio format. `bit_rate` 0 is lossless."""

    suffix: str
    container: str
    muxer: str
    codec: str
    bit_rate: int


FORMATS = {
    "MP3 320k": Format(
        suffix=".mp3", container="mp3", muxer="mp3", codec="libmp3lame", bit_rate=320_000
    ),
    "FLAC": Format(suffix=".flac", container="flac", muxer="flac", codec="flac", bit_rate=0),
    "AAC": Format(suffix=".m4a", container="mp4", muxer="ipod", codec="aac", bit_rate=256_000),
}


def make_songs(folder: Path, kind: Format, count: int) -> list[Track]:
    """Encode one long song, and copy four minutes of it from a different second for each track."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / f"whole{kind.suffix}"
    _encode(whole, kind, _sound(_SECONDS + count))
    return [_cut(whole, folder / f"{n}{kind.suffix}", kind, n) for n in range(count)]


def _sound(seconds: int) -> NDArray[np.float32]:
    """A sweeping tone with noise: (2, n) float32."""
    time = np.arange(seconds * _RATE_HZ) / _RATE_HZ
    tone = 0.2 * np.sin(2 * np.pi * (220 * time + 40 * np.sin(time)))
    noise = np.random.default_rng(0).standard_normal((2, time.size), dtype=np.float32)
    return np.asarray(tone + 0.05 * noise, dtype=np.float32)


def _encode(path: Path, kind: Format, samples: NDArray[np.float32]) -> None:
    with av.open(path, "w", format=kind.muxer) as file:
        stream = cast("av.AudioStream", file.add_stream(kind.codec, rate=_RATE_HZ, layout="stereo"))
        if kind.bit_rate:
            stream.bit_rate = kind.bit_rate
        for start in range(0, samples.shape[1], _RATE_HZ):
            second = np.ascontiguousarray(samples[:, start : start + _RATE_HZ])
            frame = av.AudioFrame.from_ndarray(second, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = _RATE_HZ, start
            frame.time_base = Fraction(1, _RATE_HZ)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def _cut(source: Path, target: Path, kind: Format, first_second: int) -> Track:
    """Copy the packets of four minutes without re-encoding."""
    with av.open(source) as old, av.open(target, "w", format=kind.muxer) as new:
        stream = old.streams.audio[0]
        copy = new.add_stream_from_template(stream)
        tick = stream.time_base or Fraction(1, _RATE_HZ)
        begin, end = (int(second / tick) for second in (first_second, first_second + _SECONDS))
        for packet in old.demux(stream):
            if packet.pts is not None and begin <= packet.pts < end:
                packet.pts = packet.dts = packet.pts - begin
                packet.stream = copy
                new.mux(packet)
    status = target.stat()
    return Track(
        path=target,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        container=kind.container,
        has_art=False,
        duration_seconds=float(_SECONDS),
    )
