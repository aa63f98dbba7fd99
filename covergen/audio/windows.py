"""A music file to the windows that CLAP hears: where they lie, their packets, their samples.

A track of D seconds has N windows, centred at (i + 1/2) / N of D and pushed inwards until they
lie inside; never more than it takes to cover the track once. So one window of a 10 s file is the
file itself.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from covergen.audio.av_errors import decode_errors
from covergen.audio.source import audio_stream, codec_parameters, open_source
from covergen.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from av import Packet
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from numpy.typing import NDArray

__all__ = [
    "SAMPLE_RATE_HZ",
    "WINDOW_SAMPLES",
    "WINDOW_SECONDS",
    "Excerpt",
    "place_windows",
    "read_excerpt",
]

SAMPLE_RATE_HZ = 48_000
WINDOW_SECONDS = 10
WINDOW_SAMPLES = WINDOW_SECONDS * SAMPLE_RATE_HZ  # 480,000

# Decoders that lean on earlier packets (MP3's bit reservoir, overlapping transforms, Speex's
# filters) have settled after this long.
_PREROLL_SECONDS = Fraction(1, 2)
# How far the claimed and the measured duration may differ before the claim counts as wrong.
_LEEWAY_SECONDS = Fraction(1, 2)
# 24 dB above full scale: where a damaged stream decodes to more, or to no number, is no sound.
_LOUDEST = 16.0
# Twice FFmpeg's usual length: errors are then 100 dB below the sound at every rate.
_RESAMPLER = {"filter_size": "64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """A window with the packets that sound in it.

    `start` is in seconds of the stream's clock; `seconds` is how much of the window is audio.
    """

    start: Fraction
    seconds: Fraction
    packets: tuple[Packet[AudioStream], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Excerpt:
    """The compressed audio of a track's windows.

    `key` names exactly what is heard: it is a hash of these packets and of what a decoder needs
    besides, so that tags have no influence on it.
    """

    path: Path
    key: str
    # Not in the repr: PyAV's objects reach for a container that is closed by then.
    _codec: AudioCodecContext = field(repr=False)
    _stretches: tuple[_Stretch, ...] = field(repr=False)

    def decode(self) -> NDArray[np.float32]:
        """Return the windows, (N, 480000) float32, mono at 48 kHz, full scale 1.

        Shorter audio is repeated as often as it fits, then padded with silence. Windows of which
        less than half can be decoded are left out; DecodeError is raised where none is left.
        """
        with decode_errors(self.path):
            heard = [_listen(self._codec, stretch) for stretch in self._stretches]
        windows = [_fill(samples) for samples in heard if samples.size]
        if not windows:
            raise DecodeError(self.path, "its audio is empty or damaged throughout")
        return np.stack(windows)


def read_excerpt(path: Path, windows: int) -> Excerpt:
    """Read the packets of at most `windows` windows, seeking from one to the next.

    Raises DecodeError where there is no audio, or none that FFmpeg can find.
    """
    with open_source(path) as container:
        stream = audio_stream(container, path)
        codec = stream.codec_context
        codec.thread_count = 1  # several tracks are decoded at once as it is
        codec.open(strict=False)
        stretches = tuple(_stretches(path, container, stream, windows))
        if not stretches:
            raise DecodeError(path, "no audio can be found in it")
        key = _key(codec_parameters(stream), stretches)
        return Excerpt(path=path, key=key, _codec=codec, _stretches=stretches)


def place_windows(duration: Fraction, count: int) -> list[Fraction]:
    """Return where the windows of a track begin, in seconds. `duration` is in seconds too."""
    count = min(count, max(1, math.ceil(duration / WINDOW_SECONDS)))
    latest = max(duration - WINDOW_SECONDS, Fraction(0))
    centres = (duration * (2 * i + 1) / (2 * count) for i in range(count))
    return [min(max(c - Fraction(WINDOW_SECONDS, 2), Fraction(0)), latest) for c in centres]


def _stretches(
    path: Path, container: InputContainer, stream: AudioStream, windows: int
) -> Iterator[_Stretch]:
    """Yield the windows that hold any audio at all."""
    duration = _duration(path, container, stream)
    origin = (stream.start_time or 0) * _tick(stream)
    for start in place_windows(duration, windows):
        packets = _packets_between(path, container, stream, origin + start)
        if packets:
            seconds = min(duration - start, Fraction(WINDOW_SECONDS))
            yield _Stretch(start=origin + start, seconds=seconds, packets=packets)


def _duration(path: Path, container: InputContainer, stream: AudioStream) -> Fraction:
    """Return the seconds of audio, measured at its end.

    FFmpeg's own number may be a guess from the file's size, tags included, or the wish of a
    header. Where the last packets agree with it, it is believed for being exact to the sample.
    """
    origin = stream.start_time or 0
    claimed = stream.duration or 0
    try:
        container.seek(origin + claimed, stream=stream)
        end = _end(_timed_packets(container, stream, clock=None))
    except (av.FFmpegError, _TimeUnknownError):
        end = None
    if end is None:  # the claim is too long, or there is no seeking
        with open_source(path) as fresh:
            end = _end(_timed_packets(fresh, audio_stream(fresh, path), clock=origin))
    measured = (end or origin) - origin
    if abs(claimed - measured) * _tick(stream) < _LEEWAY_SECONDS:
        measured = min(claimed, measured)
    return measured * _tick(stream)


def _end(packets: Iterable[Packet[AudioStream]]) -> int | None:
    return max(((p.pts or 0) + (p.duration or 0) for p in packets), default=None)


def _packets_between(
    path: Path, container: InputContainer, stream: AudioStream, start: Fraction
) -> tuple[Packet[AudioStream], ...]:
    """Return what sounds in the window that begins at `start`, and what decoders need before it."""
    first = math.floor((start - _PREROLL_SECONDS) / _tick(stream))
    end = math.ceil((start + WINDOW_SECONDS) / _tick(stream))
    try:
        container.seek(first, stream=stream)
        return _cut(_timed_packets(container, stream, clock=None), first, end)
    except (av.FFmpegError, _TimeUnknownError):
        with open_source(path) as fresh:
            stream = audio_stream(fresh, path)
            clock = stream.start_time or 0
            return _cut(_timed_packets(fresh, stream, clock=clock), first, end)


def _cut(
    packets: Iterable[Packet[AudioStream]], first: int, end: int
) -> tuple[Packet[AudioStream], ...]:
    """Keep the packets from the one that sounds at `first` to the last that begins before `end`."""
    kept: list[Packet[AudioStream]] = []
    for packet in packets:
        time = packet.pts or 0
        if time >= end:
            break
        if time <= first:
            kept.clear()
        kept.append(packet)
    return tuple(kept)


class _TimeUnknownError(Exception):
    """Nothing tells where in the stream a packet lies."""


def _timed_packets(
    container: InputContainer, stream: AudioStream, *, clock: int | None
) -> Iterator[Packet[AudioStream]]:
    """Yield the packets from here on; those without a time continue from `clock`.

    What lies behind damage that FFmpeg cannot pass is lost.
    """
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.pts is None:
                if clock is None:
                    raise _TimeUnknownError
                packet.pts = clock
            clock = packet.pts + (packet.duration or 0)
            yield packet
    except av.FFmpegError:
        return


def _tick(stream: AudioStream) -> Fraction:
    return stream.time_base or Fraction(1, stream.sample_rate)


def _key(parameters: bytes, stretches: Iterable[_Stretch]) -> str:
    digest = hashlib.blake2b(parameters, digest_size=20)
    for stretch in stretches:
        first = stretch.packets[0]
        offset = stretch.start - (first.pts or 0) * first.time_base
        digest.update(f"{offset} {len(stretch.packets)} ".encode())
        for packet in stretch.packets:
            digest.update(f"{packet.size} ".encode())
            digest.update(memoryview(packet))
    return digest.hexdigest()


def _listen(codec: AudioCodecContext, stretch: _Stretch) -> NDArray[np.float32]:
    """Return a window's samples at 48 kHz, none where less than half of it can be decoded."""
    frames = _decode(codec, stretch.packets)
    if not frames:
        return np.empty(0, dtype=np.float32)
    rate = frames[0].sample_rate
    first = stretch.packets[0]
    begin = (first.pts if frames[0].pts is None else frames[0].pts) or 0
    early = max(0, round((stretch.start - begin * first.time_base) * rate))
    mono = _mono(frames)[early : early + WINDOW_SECONDS * rate]
    if 2 * mono.size < stretch.seconds * rate:
        return np.empty(0, dtype=np.float32)
    return _resample(mono, rate)[:WINDOW_SAMPLES]


def _decode(codec: AudioCodecContext, packets: Iterable[Packet[AudioStream]]) -> list[AudioFrame]:
    """Return the frames of the format that the first one has; damaged packets give none."""
    frames: list[AudioFrame] = []
    for packet in (*packets, None):  # None: what the decoder still holds back
        try:
            frames += codec.decode(packet)
        except av.FFmpegError:
            continue
    codec.flush_buffers()
    return [frame for frame in frames if _format(frame) == _format(frames[0])]


def _format(frame: AudioFrame) -> tuple[int, str, int]:
    return frame.sample_rate, frame.format.name, frame.layout.nb_channels


def _mono(frames: Sequence[AudioFrame]) -> NDArray[np.float32]:
    """Return the mean of the channels, (samples,), full scale 1, without impossible samples."""
    samples = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
    if not frames[0].format.is_planar:
        samples = samples.reshape(-1, frames[0].layout.nb_channels).T
    mono = np.asarray(_full_scale_one(samples).mean(axis=0), dtype=np.float32)
    return np.where(np.abs(mono) < _LOUDEST, mono, np.float32(0))


def _full_scale_one(samples: NDArray[Any]) -> NDArray[Any]:
    """Scale integers as FFmpeg does: divided by the power of two that none of them exceeds."""
    if np.issubdtype(samples.dtype, np.floating):
        return samples
    half = np.float32(2 ** (8 * samples.dtype.itemsize - 1))
    centre = half if samples.dtype == np.uint8 else np.float32(0)
    return (samples.astype(np.float32) - centre) / half


def _resample(mono: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    if rate == SAMPLE_RATE_HZ:
        return mono
    frame = av.AudioFrame.from_ndarray(mono[np.newaxis], format="flt", layout="mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE_HZ, options=_RESAMPLER)
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([part.to_ndarray()[0] for part in parts] or [mono[:0]])


def _fill(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Repeat and pad shorter audio to a window, as ClapFeatureExtractor's "repeatpad" does."""
    repeated = np.tile(samples, WINDOW_SAMPLES // samples.size)
    return np.pad(repeated, (0, WINDOW_SAMPLES - repeated.size))
