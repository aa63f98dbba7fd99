"""A music file to the windows that CLAP hears: where they lie, their packets, their samples.

A track of D seconds has N windows, centred at (i + 1/2) / N of D and pushed inwards until they
lie inside; never more than it takes to cover the track once. So one window of a 10 s file is the
file itself.
"""

from __future__ import annotations

import hashlib
import math
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from covergen.audio.av_errors import decode_errors
from covergen.audio.source import audio_stream, codec_parameters, is_music, open_source, packets_of
from covergen.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
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
# Damage may claim anything, and FFmpeg would make room for it. The largest packets of music are
# Monkey's Audio's at its "insane" level, of 1,179,648 samples, handed out 4608 at a time.
_MOST_SAMPLES_A_PACKET = 1 << 21
_MOST_SAMPLES_A_FRAME = 1 << 22  # of all channels together: 16 MB
_MOST_BYTES_A_WINDOW = 1 << 28
# Averaged and resampled at once: enough to save calls, and it fits into a processor's cache.
_SAMPLES_AT_ONCE = 1 << 15
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

    def decode(self, *, repeat: bool = True) -> NDArray[np.float32]:
        """Return the windows, (N, 480000) float32, mono at 48 kHz, full scale 1.

        Shorter audio is repeated as often as it fits, if `repeat`, then padded with silence.
        Windows of which less than half can be decoded are left out; DecodeError is raised where
        none is left.
        """
        windows = np.zeros((len(self._stretches), WINDOW_SAMPLES), dtype=np.float32)
        with decode_errors(self.path):
            pairs = zip(self._stretches, windows, strict=True)
            heard = [
                _listen(self._codec, stretch, window, repeat=repeat) for stretch, window in pairs
            ]
        if not any(heard):
            raise DecodeError(self.path, "its audio is empty or damaged throughout")
        return windows if all(heard) else windows[heard]


def read_excerpt(path: Path, windows: int) -> Excerpt:
    """Read the packets of at most `windows` windows, seeking from one to the next.

    Raises DecodeError where there is no audio, or none that FFmpeg can find.
    """
    with open_source(path) as container:
        stream = audio_stream(container, path)
        codec = stream.codec_context
        codec.thread_count = 1  # several tracks are decoded at once as it is
        if codec.name != "ape":  # its decoder has an option of that name, of another meaning
            codec.options = {"max_samples": str(_MOST_SAMPLES_A_FRAME)}
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
    """Yield the windows in which any packet sounds."""
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
    except (av.FFmpegError, OverflowError, _TimeUnknownError):
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
    except (av.FFmpegError, OverflowError, _TimeUnknownError):
        with open_source(path) as fresh:
            stream = audio_stream(fresh, path)
            clock = stream.start_time or 0
            return _cut(_timed_packets(fresh, stream, clock=clock), first, end)


def _cut(
    packets: Iterable[Packet[AudioStream]], first: int, end: int
) -> tuple[Packet[AudioStream], ...]:
    """Keep the packets from the one that sounds at `first` to the last that begins before `end`."""
    kept: list[Packet[AudioStream]] = []
    room = _MOST_BYTES_A_WINDOW
    for packet in packets:
        time = packet.pts or 0
        if time <= first:
            kept.clear()
            room = _MOST_BYTES_A_WINDOW
        room -= packet.size
        if time >= end or room < 0:
            break
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
        for packet in packets_of(container, stream):
            if packet.pts is None:
                if clock is None:
                    raise _TimeUnknownError
                packet.pts = clock
            clock = packet.pts + (packet.duration or 0)
            yield packet
    except (av.FFmpegError, IndexError):  # of a stream that begins in the midst of the file
        return


def _tick(stream: AudioStream) -> Fraction:
    return stream.time_base or Fraction(1, stream.sample_rate)


def _key(parameters: bytes, stretches: Iterable[_Stretch]) -> str:
    digest = hashlib.sha256(parameters)  # many processors have instructions for it
    for stretch in stretches:
        first = stretch.packets[0]
        offset = stretch.start - (first.pts or 0) * first.time_base
        digest.update(f"{offset} {len(stretch.packets)} ".encode())
        for packet in stretch.packets:
            digest.update(f"{packet.size} ".encode())
            digest.update(memoryview(packet))
    return digest.hexdigest()[:40]


def _listen(
    codec: AudioCodecContext, stretch: _Stretch, window: NDArray[np.float32], *, repeat: bool
) -> bool:
    """Fill a window of zeros with its samples; False where less than half of it can be decoded."""
    with closing(_decode(codec, stretch.packets)) as frames:
        head = next(frames, None)
        if head is None:
            return False
        rate = head.sample_rate
        first = stretch.packets[0]
        begin = (first.pts if head.pts is None else head.pts) or 0
        early = max(0, round((stretch.start - begin * first.time_base) * rate))
        if early > _MOST_SAMPLES_A_PACKET:
            return False
        mono = _between(_mono(chain([head], frames)), early, early + WINDOW_SECONDS * rate)
        filled = 0
        for part in _at_48_khz(mono, rate):
            room = window[filled : filled + part.size]
            room[:] = part[: room.size]
            filled += room.size
    if not filled or 2 * filled < stretch.seconds * SAMPLE_RATE_HZ:
        return False
    if repeat:
        _repeat(window, filled)
    return True


def _decode(
    codec: AudioCodecContext, packets: Sequence[Packet[AudioStream]]
) -> Generator[AudioFrame]:
    """Yield the frames of the format that the first one has; damaged packets give none."""
    wanted = None
    samples_a_tick = float(codec.sample_rate * packets[0].time_base)
    believable = (
        packet
        for packet in packets
        if (packet.duration or 0) * samples_a_tick <= _MOST_SAMPLES_A_PACKET
    )
    try:
        for packet in chain(believable, [None]):  # None: what the decoder still holds back
            for frame in _decode_packet(codec, packet):
                kind = frame.sample_rate, frame.format.name, frame.layout.name
                if wanted is None and is_music(frame.sample_rate, frame.layout.nb_channels):
                    wanted = kind
                if kind == wanted:
                    yield frame
    finally:
        codec.flush_buffers()


def _decode_packet(
    codec: AudioCodecContext, packet: Packet[AudioStream] | None
) -> list[AudioFrame]:
    try:
        return codec.decode(packet)
    except av.FFmpegError:
        return []


def _mono(frames: Iterable[AudioFrame]) -> Iterator[NDArray[np.float32]]:
    """Yield the mean of the channels, (samples,), full scale 1, without impossible samples."""
    joined = av.AudioFifo()
    for frame in frames:
        frame.pts = None  # damage makes them jump, which a FIFO refuses
        joined.write(frame)
        if joined.samples >= _SAMPLES_AT_ONCE:
            yield from _mean_of_channels(joined.read())
    yield from _mean_of_channels(joined.read())


def _between(
    blocks: Iterable[NDArray[np.float32]], first: int, end: int
) -> Iterator[NDArray[np.float32]]:
    """Yield the samples from `first` to `end`; no more blocks are taken than hold these."""
    for block in blocks:
        part = block[max(0, first) : max(0, end)]
        if part.size:
            yield part
        first, end = first - block.size, end - block.size
        if end <= 0:
            break


def _mean_of_channels(frame: AudioFrame | None) -> Iterator[NDArray[np.float32]]:
    """Yield nothing for no frame."""
    if frame is not None:
        samples = frame.to_ndarray()
        if not frame.format.is_planar:
            samples = samples.reshape(-1, frame.layout.nb_channels).T
        mono = np.asarray(_full_scale_one(samples).mean(axis=0), dtype=np.float32)
        mono[~(np.abs(mono) < _LOUDEST)] = 0
        yield mono


def _full_scale_one(samples: NDArray[Any]) -> NDArray[Any]:
    """Scale integers as FFmpeg does: divided by the power of two that none of them exceeds."""
    if np.issubdtype(samples.dtype, np.floating):
        return np.ascontiguousarray(samples)
    half = np.float32(2 ** (8 * samples.dtype.itemsize - 1))
    centre = half if samples.dtype == np.uint8 else np.float32(0)
    return (samples.astype(np.float32, order="C") - centre) / half


def _at_48_khz(blocks: Iterable[NDArray[np.float32]], rate: int) -> Iterator[NDArray[np.float32]]:
    if rate == SAMPLE_RATE_HZ:
        yield from blocks
        return
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE_HZ, options=_RESAMPLER)
    for block in blocks:
        frame = av.AudioFrame.from_ndarray(block[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = rate
        yield from (part.to_ndarray()[0] for part in resampler.resample(frame))
    yield from (part.to_ndarray()[0] for part in resampler.resample(None))


def _repeat(window: NDArray[np.float32], filled: int) -> None:
    """Repeat what is shorter than a window, as ClapFeatureExtractor's "repeatpad" does."""
    times = window.size // filled
    window[filled : times * filled] = np.tile(window[:filled], times - 1)
