"""A music file to the windows that CLAP hears: their packets, their samples.

Packets are found by their time stamps, so that little of a file is read. Where these lead nowhere,
the track is heard from its start.
"""

from __future__ import annotations

import hashlib
import math
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, groupby
from typing import TYPE_CHECKING

import av
import numpy as np

from covergen.audio.av_errors import decode_errors
from covergen.audio.decoding import (
    MOST_SAMPLES_A_PACKET,
    at_rate,
    between,
    decoded,
    lasts,
    mono,
    open_decoder,
)
from covergen.audio.from_start import hear_from_start, key_from_start
from covergen.audio.placement import (
    SAMPLE_RATE_HZ,
    WINDOW_SAMPLES,
    WINDOW_SECONDS,
    place_windows,
    repeat_window,
)
from covergen.audio.source import audio_stream, codec_parameters, open_source, packets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
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

# Decoders that lean on earlier packets (MP3's bit reservoir, overlapping transforms, Speex's
# filters) have settled after this long.
_PREROLL_SECONDS = Fraction(1, 2)
# How far the claimed and the measured duration may differ before the claim counts as wrong.
_LEEWAY_SECONDS = Fraction(1, 2)
_MOST_BYTES_A_WINDOW = 1 << 28


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
    """The compressed audio of at most `count` windows of a track.

    `key` names exactly what is heard: it is a hash of these packets and of what a decoder needs
    besides, so that tags have no influence on it.
    """

    path: Path
    key: str
    count: int
    # Not in the repr: PyAV's objects reach for a container that is closed by then.
    _codec: AudioCodecContext = field(repr=False)
    _stretches: tuple[_Stretch, ...] = field(repr=False)

    def decode(self, *, repeat: bool = True) -> NDArray[np.float32]:
        """Return the windows, (N, 480000) float32, mono at 48 kHz, full scale 1.

        Shorter audio is repeated as often as it fits, if `repeat`, then padded with silence.
        Windows of which less than half can be decoded are left out; where none is left, the track
        is decoded from its start, and DecodeError is raised where less than half of it can be.
        """
        windows = np.zeros((len(self._stretches), WINDOW_SAMPLES), dtype=np.float32)
        with decode_errors(self.path):
            pairs = zip(self._stretches, windows, strict=True)
            heard = [
                _listen(self._codec, stretch, window, repeat=repeat) for stretch, window in pairs
            ]
        if not any(heard):
            return hear_from_start(self.path, self.count, repeat=repeat)
        return windows if all(heard) else windows[heard]


def read_excerpt(path: Path, windows: int) -> Excerpt:
    """Read the packets of at most `windows` windows, seeking from one to the next.

    Raises DecodeError where there is no audio, or none that FFmpeg can find.
    """
    with open_source(path) as container:
        stream = audio_stream(container, path)
        codec = open_decoder(stream)
        duration = _duration(path, container, stream)
        if duration > WINDOW_SECONDS:
            stretches = tuple(_stretches(path, container, stream, duration, windows))
        else:
            codec, stretches = _short_track(path, duration)
        key = (
            _key(codec_parameters(stream), stretches)
            if stretches
            else key_from_start(path, windows)
        )
        return Excerpt(path=path, key=key, count=windows, _codec=codec, _stretches=stretches)


def _short_track(path: Path, duration: Fraction) -> tuple[AudioCodecContext, tuple[_Stretch, ...]]:
    """Return all of a track as its only window, and a decoder that has never seen a seek.

    After one, some leave out the next packets (Musepack). There is no window where the packets last
    longer than the clock says.
    """
    with open_source(path) as container:
        stream = audio_stream(container, path)
        codec = open_decoder(stream)
        packets = _cut(_timed_packets(container, stream, clock=_origin(stream)))
        start = _origin(stream) * _tick(stream)
        total = sum(lasts(packet, stream.sample_rate) or 0 for packet in packets) * _tick(stream)
        if not packets or total > duration + _LEEWAY_SECONDS:
            return codec, ()
        return codec, (_Stretch(start=start, seconds=duration, packets=packets),)


def _stretches(
    path: Path, container: InputContainer, stream: AudioStream, duration: Fraction, windows: int
) -> Iterator[_Stretch]:
    """Yield the windows in which packets sound, for half of the time at least."""
    origin = _origin(stream) * _tick(stream)
    for start in place_windows(duration, windows):
        packets = _packets_between(path, container, stream, origin + start)
        seconds = min(duration - start, Fraction(WINDOW_SECONDS))
        if packets and 2 * _sounding(packets, stream, seconds) >= seconds:
            yield _Stretch(start=origin + start, seconds=seconds, packets=packets)


def _sounding(
    packets: Iterable[Packet[AudioStream]], stream: AudioStream, unknown: Fraction
) -> Fraction:
    """The seconds that packets last, `unknown` where some do not say."""
    durations = [(lasts(packet, stream.sample_rate) or 0) * packet.time_base for packet in packets]
    return sum(durations, start=Fraction(0)) if all(durations) else unknown


def _duration(path: Path, container: InputContainer, stream: AudioStream) -> Fraction:
    """Return the seconds of audio, measured at its end.

    FFmpeg's own number may be a guess from the file's size, tags included, or the wish of a
    header. Where the last packets agree with it, it is believed for being exact to the sample.
    """
    origin = _origin(stream)
    claimed = stream.duration or 0
    try:
        container.seek(origin + claimed, stream=stream)
        end = _end(_timed_packets(container, stream, clock=None), stream.sample_rate)
    except (av.FFmpegError, OverflowError, _TimeUnknownError):
        end = None
    if end is None:  # the claim is too long, or there is no seeking
        with open_source(path) as fresh:
            again = audio_stream(fresh, path)
            end = _end(_timed_packets(fresh, again, clock=origin), stream.sample_rate)
    measured = (end or origin) - origin
    if abs(claimed - measured) * _tick(stream) < _LEEWAY_SECONDS:
        measured = min(claimed, measured)
    return measured * _tick(stream)


def _end(packets: Iterable[Packet[AudioStream]], rate: int) -> int | None:
    return max(((p.pts or 0) + (lasts(p, rate) or 0) for p in packets), default=None)


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
            return _cut(_timed_packets(fresh, stream, clock=_origin(stream)), first, end)


def _cut(
    packets: Iterable[Packet[AudioStream]], first: float = -math.inf, end: float = math.inf
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
            clock = packet.pts + (lasts(packet, stream.sample_rate) or 0)
            yield packet
    except (av.FFmpegError, IndexError):  # of a stream that begins in the midst of the file
        return


def _origin(stream: AudioStream) -> int:
    return stream.start_time or 0


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
    with closing(decoded(codec, stretch.packets)) as frames:
        head = next(frames, None)
        if head is None:
            return False
        first = stretch.packets[0]
        begin = (first.pts if head.pts is None else head.pts) or 0
        early = max(Fraction(0), stretch.start - begin * first.time_base)
        if early * head.sample_rate > MOST_SAMPLES_A_PACKET:
            return False
        filled = _fill(window, chain([head], frames), early)
    if not filled or 2 * filled < stretch.seconds * SAMPLE_RATE_HZ:
        return False
    if repeat:
        repeat_window(window, filled)
    return True


def _fill(window: NDArray[np.float32], frames: Iterable[AudioFrame], early: Fraction) -> int:
    """Put the samples into a window, those of the first `early` seconds aside; return how many."""
    filled = 0
    for rate, alike in groupby(frames, key=lambda frame: frame.sample_rate):
        skipped = round(early * rate)
        wanted = math.ceil(Fraction(window.size - filled, SAMPLE_RATE_HZ) * rate)
        samples = between(mono(alike), skipped, skipped + wanted)
        for part in at_rate(samples, rate, wanted=SAMPLE_RATE_HZ):
            room = window[filled : filled + part.size]
            room[:] = part[: room.size]
            filled += room.size
        if filled == window.size:
            break
        early = Fraction(0)
    return filled
