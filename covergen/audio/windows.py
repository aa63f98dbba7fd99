"""Read and decode the windows of a music file that CLAP embeds.

Packets are found by their time stamps, so that little of a file is read. If these are unusable, the
track is decoded from its start.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from covergen.audio.av_errors import decode_errors
from covergen.audio.decode_frames import (
    MAX_PACKET_SAMPLES,
    at_rate,
    between,
    decode_packets,
    mono,
    open_decoder,
    packet_ticks,
)
from covergen.audio.decode_from_start import decode_from_start, key_from_start
from covergen.audio.source import audio_stream, codec_parameters, open_source, packets_of
from covergen.audio.window_positions import (
    SAMPLE_RATE_HZ,
    WINDOW_SAMPLES,
    WINDOW_SECONDS,
    place_windows,
    repeat_window,
)

if TYPE_CHECKING:
    from av import Packet
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from numpy.typing import NDArray


# Decoders that depend on earlier packets (MP3's bit reservoir, overlapping transforms, Speex's
# filters) have settled after this long.
_PREROLL_SECONDS = Fraction(1, 2)
# A claimed duration that differs from the measured one by more than this is wrong.
_TOLERANCE_SECONDS = Fraction(1, 2)
_MAX_WINDOW_BYTES = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """The packets of a window.

    `start` is in seconds of the stream's clock; `seconds` is the length of the audio in the window.
    """

    start: Fraction
    seconds: Fraction
    packets: tuple[Packet[AudioStream], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Excerpt:
    """The compressed audio of at most `count` windows of a track.

    `key` is a hash of these packets and of the decoder's parameters; tags do not affect it.
    """

    path: Path
    key: str
    count: int
    # Not in the repr: PyAV's objects would access a container that is closed by then.
    _codec: AudioCodecContext = field(repr=False)
    _windows: tuple[_Window, ...] = field(repr=False)

    def decode(self, *, repeat: bool = True) -> NDArray[np.float32]:
        """Return the windows, (N, 480000) float32, mono at 48 kHz, full scale 1.

        With `repeat`, audio shorter than a window is repeated as often as it fits; the rest is
        silence. Windows of which less than half can be decoded are left out. If none remains, the
        track is decoded from its start. Raises DecodeError if less than half of that is decodable.
        """
        samples = np.zeros((len(self._windows), WINDOW_SAMPLES), dtype=np.float32)
        with decode_errors(self.path):
            pairs = zip(self._windows, samples, strict=True)
            decoded = [
                _decode_window(self._codec, window, row, repeat=repeat) for window, row in pairs
            ]
        if not any(decoded):
            return decode_from_start(self.path, self.count, repeat=repeat)
        return samples if all(decoded) else samples[decoded]


def read_excerpt(path: Path, windows: int) -> Excerpt:
    """Read the packets of at most `windows` windows, seeking from one to the next.

    Raises DecodeError if there is no audio that FFmpeg can read.
    """
    with open_source(path) as container:
        stream = audio_stream(container, path)
        codec = open_decoder(stream)
        duration = _duration(path, container, stream)
        if duration > WINDOW_SECONDS:
            found = tuple(_windows(path, container, stream, duration, windows))
        else:
            codec, found = _short_track(path, duration)
        parameters = codec_parameters(stream)
        key = _key(parameters, found) if found else key_from_start(path, windows)
        return Excerpt(path=path, key=key, count=windows, _codec=codec, _windows=found)


def _short_track(path: Path, duration: Fraction) -> tuple[AudioCodecContext, tuple[_Window, ...]]:
    """Return a fresh decoder, and the whole track as its only window.

    Fresh, since some decoders skip packets after a seek (Musepack). No window is returned if the
    packets are longer than the duration.
    """
    with open_source(path) as container:
        stream = audio_stream(container, path)
        codec = open_decoder(stream)
        packets = _cut(_timed_packets(container, stream, clock=_origin(stream)))
        start = _origin(stream) * _tick(stream)
        total = sum(packet_ticks(packet, stream.sample_rate) or 0 for packet in packets) * _tick(
            stream
        )
        if not packets or total > duration + _TOLERANCE_SECONDS:
            return codec, ()
        return codec, (_Window(start=start, seconds=duration, packets=packets),)


def _windows(
    path: Path, container: InputContainer, stream: AudioStream, duration: Fraction, windows: int
) -> Iterator[_Window]:
    """Yield the windows of which at least half is covered by packets."""
    origin = _origin(stream) * _tick(stream)
    for start in place_windows(duration, windows):
        packets = _packets_between(path, container, stream, origin + start)
        seconds = min(duration - start, Fraction(WINDOW_SECONDS))
        if packets and 2 * _covered(packets, stream, seconds) >= seconds:
            yield _Window(start=origin + start, seconds=seconds, packets=packets)


def _covered(
    packets: Iterable[Packet[AudioStream]], stream: AudioStream, unknown: Fraction
) -> Fraction:
    """Return the total duration of packets in seconds, `unknown` if some have none."""
    durations = [
        (packet_ticks(packet, stream.sample_rate) or 0) * packet.time_base for packet in packets
    ]
    return sum(durations, start=Fraction(0)) if all(durations) else unknown


def _duration(path: Path, container: InputContainer, stream: AudioStream) -> Fraction:
    """Return the seconds of audio, measured at the last packets.

    FFmpeg's duration may be a guess from the file's size, or a wrong header. If the last packets
    confirm it, it is used, since it is exact to the sample.
    """
    origin = _origin(stream)
    claimed = stream.duration or 0
    try:
        container.seek(origin + claimed, stream=stream)
        end = _end(_timed_packets(container, stream, clock=None), stream.sample_rate)
    except (av.FFmpegError, OverflowError, _TimeUnknownError):
        end = None
    if end is None:  # the claimed duration is too long, or the file is not seekable
        with open_source(path) as fresh:
            again = audio_stream(fresh, path)
            end = _end(_timed_packets(fresh, again, clock=origin), stream.sample_rate)
    measured = (end or origin) - origin
    if abs(claimed - measured) * _tick(stream) < _TOLERANCE_SECONDS:
        measured = min(claimed, measured)
    return measured * _tick(stream)


def _end(packets: Iterable[Packet[AudioStream]], rate: int) -> int | None:
    return max(((p.pts or 0) + (packet_ticks(p, rate) or 0) for p in packets), default=None)


def _packets_between(
    path: Path, container: InputContainer, stream: AudioStream, start: Fraction
) -> tuple[Packet[AudioStream], ...]:
    """Return the packets of the window that starts at `start`, with the decoder's pre-roll."""
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
    """Return the packets from the one playing at `first` to the last that starts before `end`."""
    kept: list[Packet[AudioStream]] = []
    room = _MAX_WINDOW_BYTES
    for packet in packets:
        time = packet.pts or 0
        if time <= first:
            kept.clear()
            room = _MAX_WINDOW_BYTES
        room -= packet.size
        if time >= end or room < 0:
            break
        kept.append(packet)
    return tuple(kept)


class _TimeUnknownError(Exception):
    """A packet has no time stamp, and its position cannot be derived."""


def _timed_packets(
    container: InputContainer, stream: AudioStream, *, clock: int | None
) -> Iterator[Packet[AudioStream]]:
    """Yield the packets from here on; those without a time stamp continue from `clock`.

    Stops at damage that FFmpeg cannot recover from.
    """
    try:
        for packet in packets_of(container, stream):
            if packet.pts is None:
                if clock is None:
                    raise _TimeUnknownError
                packet.pts = clock
            clock = packet.pts + (packet_ticks(packet, stream.sample_rate) or 0)
            yield packet
    except (av.FFmpegError, IndexError):  # IndexError: a stream that starts mid-file
        return


def _origin(stream: AudioStream) -> int:
    return stream.start_time or 0


def _tick(stream: AudioStream) -> Fraction:
    return stream.time_base or Fraction(1, stream.sample_rate)


def _key(parameters: bytes, windows: Iterable[_Window]) -> str:
    digest = hashlib.sha256(parameters)  # hardware-accelerated on most CPUs
    for window in windows:
        first = window.packets[0]
        offset = window.start - (first.pts or 0) * first.time_base
        digest.update(f"{offset} {len(window.packets)} ".encode())
        for packet in window.packets:
            digest.update(f"{packet.size} ".encode())
            digest.update(memoryview(packet))
    return digest.hexdigest()[:40]


def _decode_window(
    codec: AudioCodecContext, window: _Window, samples: NDArray[np.float32], *, repeat: bool
) -> bool:
    """Decode a window into zeroed `samples`; return False if less than half can be decoded."""
    with closing(decode_packets(codec, window.packets)) as frames:
        head = next(frames, None)
        if head is None:
            return False
        first = window.packets[0]
        begin = (first.pts if head.pts is None else head.pts) or 0
        early = max(Fraction(0), window.start - begin * first.time_base)
        if early * head.sample_rate > MAX_PACKET_SAMPLES:
            return False
        filled = _fill(samples, chain([head], frames), early)
    if not filled or 2 * filled < window.seconds * SAMPLE_RATE_HZ:
        return False
    if repeat:
        repeat_window(samples, filled)
    return True


def _fill(window: NDArray[np.float32], frames: Iterable[AudioFrame], early: Fraction) -> int:
    """Copy samples into a window, skipping the first `early` seconds; return how many."""
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
