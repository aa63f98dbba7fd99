"""A track heard from its first packet to its last, whatever its time stamps say."""

from __future__ import annotations

import hashlib
from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

from covergen.audio.decoding import decoded, lasts, mono_at, open_decoder
from covergen.audio.placement import SAMPLE_RATE_HZ, WINDOW_SAMPLES, place_windows, repeat_window
from covergen.audio.source import audio_stream, codec_parameters, open_source, packets_of
from covergen.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from av import Packet
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from numpy.typing import NDArray

__all__ = ["hear_from_start", "key_from_start"]


def key_from_start(path: Path, count: int) -> str:
    """Return a hash of all of a track's packets. Raises DecodeError where there are none."""
    with open_source(path) as container:
        stream = audio_stream(container, path)
        digest = hashlib.sha256(codec_parameters(stream))
        digest.update(f"{count} windows ".encode())
        packet = None
        for packet in _packets(container, stream):
            digest.update(f"{packet.size} ".encode())
            digest.update(memoryview(packet))
    if packet is None:
        raise DecodeError(path, "no audio can be found in it", hint=DecodeError.DAMAGED)
    return digest.hexdigest()[:40]


def hear_from_start(path: Path, count: int, *, repeat: bool) -> NDArray[np.float32]:
    """Return at most `count` windows, (N, 480000) float32, mono at 48 kHz, full scale 1.

    Shorter audio is repeated, if `repeat`. The track is decoded twice, since only that tells how
    long it is. Raises DecodeError where less than half of it can be decoded.
    """
    length, claimed = _length(path)
    if not length or 2 * length < claimed:
        message = "its audio is empty or damaged throughout"
        raise DecodeError(path, message, hint=DecodeError.DAMAGED)
    starts = [round(start * SAMPLE_RATE_HZ) for start in place_windows(length, count)]
    windows = np.zeros((len(starts), WINDOW_SAMPLES), dtype=np.float32)
    heard = 0
    with closing(_frames(path)) as frames:
        for part in mono_at(frames, SAMPLE_RATE_HZ):
            for window, start in zip(windows, starts, strict=True):
                _lay(part, heard - start, window)
            heard += part.size
    if repeat and heard < WINDOW_SAMPLES:
        repeat_window(windows[0], max(1, heard))
    return windows


def _lay(part: NDArray[np.float32], at: int, window: NDArray[np.float32]) -> None:
    """Put as much of some samples into a window as lies in it. They begin at sample `at` of it."""
    begin, end = max(0, at), min(window.size, at + part.size)
    if begin < end:
        window[begin:end] = part[begin - at : end - at]


def _length(path: Path) -> tuple[Fraction, Fraction]:
    """The seconds that can be decoded, and those that the packets claim to last."""
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
    """Decode a track. `on_packet` is told how many seconds each packet claims to last."""
    with open_source(path) as container:
        stream = audio_stream(container, path)
        codec = open_decoder(stream)

        def packets() -> Iterator[Packet[AudioStream]]:
            for packet in _packets(container, stream):
                on_packet((lasts(packet, stream.sample_rate) or 0) * packet.time_base)
                yield packet

        yield from decoded(codec, packets())


def _packets(container: InputContainer, stream: AudioStream) -> Iterator[Packet[AudioStream]]:
    """Yield the packets up to damage that FFmpeg cannot pass."""
    try:
        yield from packets_of(container, stream)
    except (av.FFmpegError, IndexError):  # of a stream that begins in the midst of the file
        return
