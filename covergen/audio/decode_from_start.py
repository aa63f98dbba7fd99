"""Decode a track from first to last packet, for files with unusable time stamps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from covergen.audio.decode_frames import decode_packets, mono_at, open_decoder, packet_ticks
from covergen.audio.source import audio_stream, codec_parameters, open_source, packets_of
from covergen.audio.window_positions import (
    SAMPLE_RATE_HZ,
    WINDOW_SAMPLES,
    place_windows,
    repeat_window,
)
from covergen.core.errors import DecodeError

if TYPE_CHECKING:
    from av import Packet
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from numpy.typing import NDArray


def key_from_start(path: Path, count: int) -> str:
    """Return a hash of all packets of a track and of the number of windows.

    Raises DecodeError if there are no packets.
    """
    with open_source(path) as container:
        stream = audio_stream(container, path)
        digest = hashlib.sha256(codec_parameters(stream))
        digest.update(f"{count} windows ".encode())
        packet = None
        for packet in _packets(container, stream):
            digest.update(f"{packet.size} ".encode())
            digest.update(memoryview(packet))
    if packet is None:
        raise DecodeError(path, "it contains no audio", hint=DecodeError.DAMAGED)
    return digest.hexdigest()[:40]


def decode_from_start(path: Path, count: int, *, repeat: bool) -> NDArray[np.float32]:
    """Return at most `count` windows, (N, 480000) float32, mono at 48 kHz, full scale 1.

    With `repeat`, audio shorter than a window is repeated. The track is decoded twice, first to
    measure its length. Raises DecodeError if less than half of it can be decoded.
    """
    length, claimed = _length(path)
    if not length or 2 * length < claimed:
        message = "its audio is empty or damaged throughout"
        raise DecodeError(path, message, hint=DecodeError.DAMAGED)
    starts = [round(start * SAMPLE_RATE_HZ) for start in place_windows(length, count)]
    windows = np.zeros((len(starts), WINDOW_SAMPLES), dtype=np.float32)
    position = 0
    with closing(_frames(path)) as frames:
        for part in mono_at(frames, SAMPLE_RATE_HZ):
            for window, start in zip(windows, starts, strict=True):
                _copy_overlap(part, position - start, window)
            position += part.size
    if repeat and position < WINDOW_SAMPLES:
        repeat_window(windows[0], max(1, position))
    return windows


def _copy_overlap(part: NDArray[np.float32], at: int, window: NDArray[np.float32]) -> None:
    """Copy the samples that overlap a window; `at` is their position relative to the window."""
    begin, end = max(0, at), min(window.size, at + part.size)
    if begin < end:
        window[begin:end] = part[begin - at : end - at]


def _length(path: Path) -> tuple[Fraction, Fraction]:
    """Return the decodable length and the length claimed by the packets, in seconds."""
    claimed = Fraction(0)

    def add(seconds: Fraction) -> None:
        nonlocal claimed
        claimed += seconds

    with closing(_frames(path, add)) as frames:
        length = sum((Fraction(f.samples, f.sample_rate) for f in frames), start=Fraction(0))
    return length, claimed


def _frames(
    path: Path, on_packet: Callable[[Fraction], None] = lambda _: None
) -> Generator[AudioFrame]:
    """Decode a track. `on_packet` is called with the claimed seconds of each packet."""
    with open_source(path) as container:
        stream = audio_stream(container, path)
        codec = open_decoder(stream)

        def packets() -> Iterator[Packet[AudioStream]]:
            for packet in _packets(container, stream):
                on_packet((packet_ticks(packet, stream.sample_rate) or 0) * packet.time_base)
                yield packet

        yield from decode_packets(codec, packets())


def _packets(container: InputContainer, stream: AudioStream) -> Iterator[Packet[AudioStream]]:
    """Yield packets, up to damage that FFmpeg cannot recover from."""
    try:
        yield from packets_of(container, stream)
    except (av.FFmpegError, IndexError):  # IndexError: a stream that starts mid-file
        return
