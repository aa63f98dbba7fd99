"""Decode packets to frames, and mix frames to mono, robustly against damaged files."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from covergen.audio.source import is_music

if TYPE_CHECKING:
    from av import Packet
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from numpy.typing import NDArray


# A damaged file may claim any size, and FFmpeg would allocate it. The largest real packets are
# Monkey's Audio's at its "insane" level: 1,179,648 samples, returned 4608 at a time.
MAX_PACKET_SAMPLES = 1 << 21
# A last packet that ends early has a negative duration, which FFmpeg returns as unsigned 32 bits.
_NEGATIVE_TICKS = 1 << 31
_MAX_FRAME_SAMPLES = 1 << 22  # of all channels together: 16 MB
# 24 dB above full scale: larger samples, and NaN, come from damage and are set to 0.
_MAX_LEVEL = 16.0
# Mixed and resampled per block: large enough to save calls, small enough for the CPU cache.
_BLOCK_SAMPLES = 1 << 15
# Twice FFmpeg's default: errors are then 100 dB below the signal at every rate.
_RESAMPLER = {"filter_size": "64"}


def open_decoder(stream: AudioStream) -> AudioCodecContext:
    """Return the decoder of a stream, ready for its first packet."""
    codec = stream.codec_context
    codec.thread_count = 1  # tracks are already decoded in parallel
    if codec.name != "ape":  # its own max_samples option means something else
        codec.options = {"max_samples": str(_MAX_FRAME_SAMPLES)}
    codec.open(strict=False)
    return codec


def packet_ticks(packet: Packet[AudioStream], rate: int) -> int | None:
    """Return the duration of a packet in ticks, 0 if unknown, None if impossibly long.

    `rate` is the stream's, in Hz.
    """
    ticks = packet.duration or 0
    if _NEGATIVE_TICKS <= ticks < 1 << 32:
        return 0
    return ticks if float(ticks * packet.time_base) * rate <= MAX_PACKET_SAMPLES else None


def decode_packets(
    codec: AudioCodecContext, packets: Iterable[Packet[AudioStream]]
) -> Generator[AudioFrame]:
    """Yield the frames of packets; skip damaged packets and those too long to be music."""
    plausible = (p for p in packets if packet_ticks(p, codec.sample_rate) is not None)
    try:
        for packet in chain(plausible, [None]):  # None flushes the decoder
            for frame in _decode_packet(codec, packet):
                if is_music(frame.sample_rate, frame.layout.nb_channels):
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


def mono(frames: Iterable[AudioFrame]) -> Iterator[NDArray[np.float32]]:
    """Yield the mean of the channels in blocks (n,) float32, full scale 1; invalid samples are 0.

    The number of channels and the sample format may change between frames, as in an MP3 that mixes
    mono and stereo.
    """
    for _, alike in groupby(frames, key=lambda frame: (frame.format.name, frame.layout.name)):
        joined = av.AudioFifo()
        for frame in alike:
            frame.pts = None  # AudioFifo rejects gaps, which damaged files have
            joined.write(frame)
            if joined.samples >= _BLOCK_SAMPLES:
                yield from _mean_of_channels(joined.read())
        yield from _mean_of_channels(joined.read())


def between(
    blocks: Iterable[NDArray[np.float32]], first: int, end: int
) -> Iterator[NDArray[np.float32]]:
    """Yield the samples from `first` to `end`; consume no more blocks than needed."""
    for block in blocks:
        part = block[max(0, first) : max(0, end)]
        if part.size:
            yield part
        first, end = first - block.size, end - block.size
        if end <= 0:
            break


def mono_at(frames: Iterable[AudioFrame], wanted: int) -> Iterator[NDArray[np.float32]]:
    """As `mono`, resampled to `wanted` Hz, even if the rate changes between frames."""
    for rate, alike in groupby(frames, key=lambda frame: frame.sample_rate):
        yield from at_rate(mono(alike), rate, wanted=wanted)


def at_rate(
    blocks: Iterable[NDArray[np.float32]], rate: int, *, wanted: int
) -> Iterator[NDArray[np.float32]]:
    """Resample blocks from `rate` to `wanted`, both in Hz."""
    if rate == wanted:
        yield from blocks
        return
    resampler = av.AudioResampler("flt", "mono", wanted, options=_RESAMPLER)
    for block in blocks:
        frame = av.AudioFrame.from_ndarray(block[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = rate
        yield from (part.to_ndarray()[0] for part in resampler.resample(frame))
    yield from (part.to_ndarray()[0] for part in resampler.resample(None))


def _mean_of_channels(frame: AudioFrame | None) -> Iterator[NDArray[np.float32]]:
    """Yield the mean of a frame's channels; nothing for None."""
    if frame is not None:
        samples = frame.to_ndarray()
        if not frame.format.is_planar:
            samples = samples.reshape(-1, frame.layout.nb_channels).T
        with np.errstate(all="ignore"):  # damaged files contain NaN and huge values
            mean = np.asarray(_full_scale_one(samples).mean(axis=0), dtype=np.float32)
            mean[~(np.abs(mean) < _MAX_LEVEL)] = 0
        yield mean


def _full_scale_one(samples: NDArray[Any]) -> NDArray[Any]:
    """Scale integers to -1..1 as FFmpeg does: divide by 2^(bits - 1)."""
    if np.issubdtype(samples.dtype, np.floating):
        return np.ascontiguousarray(samples)
    half = np.float32(2 ** (8 * samples.dtype.itemsize - 1))
    center = half if samples.dtype == np.uint8 else np.float32(0)
    return (samples.astype(np.float32, order="C") - center) / half
