"""Packets to frames, and frames to one channel, whatever a file mixes or claims."""

from __future__ import annotations

from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from covergen.audio.source import is_music

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from av import Packet
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from numpy.typing import NDArray

__all__ = [
    "MOST_SAMPLES_A_PACKET",
    "at_rate",
    "between",
    "decoded",
    "lasts",
    "mono",
    "mono_at",
    "open_decoder",
]

# Damage may claim anything, and FFmpeg would make room for it. The largest packets of music are
# Monkey's Audio's at its "insane" level, of 1,179,648 samples, handed out 4608 at a time.
MOST_SAMPLES_A_PACKET = 1 << 21
# As FFmpeg hands out -2^31 ticks and more, which a last packet lasts that ends early.
_NEGATIVE_TICKS = 1 << 31
_MOST_SAMPLES_A_FRAME = 1 << 22  # of all channels together: 16 MB
# 24 dB above full scale: where a damaged stream decodes to more, or to no number, is no sound.
_LOUDEST = 16.0
# Averaged and resampled at once: enough to save calls, and it fits into a processor's cache.
_SAMPLES_AT_ONCE = 1 << 15
# Twice FFmpeg's usual length: errors are then 100 dB below the sound at every rate.
_RESAMPLER = {"filter_size": "64"}


def open_decoder(stream: AudioStream) -> AudioCodecContext:
    """Return the decoder of a stream, ready for its first packet."""
    codec = stream.codec_context
    codec.thread_count = 1  # several tracks are decoded at once as it is
    if codec.name != "ape":  # its decoder has an option of that name, of another meaning
        codec.options = {"max_samples": str(_MOST_SAMPLES_A_FRAME)}
    codec.open(strict=False)
    return codec


def lasts(packet: Packet[AudioStream], rate: int) -> int | None:
    """The duration of a packet in ticks, 0 where it is unknown; None where no packet is so long.

    `rate` is the stream's, in Hz.
    """
    ticks = packet.duration or 0
    if _NEGATIVE_TICKS <= ticks < 1 << 32:
        return 0
    return ticks if float(ticks * packet.time_base) * rate <= MOST_SAMPLES_A_PACKET else None


def decoded(
    codec: AudioCodecContext, packets: Iterable[Packet[AudioStream]]
) -> Generator[AudioFrame]:
    """Yield the frames of packets; damaged packets, and those too long to be music, give none."""
    believable = (p for p in packets if lasts(p, codec.sample_rate) is not None)
    try:
        for packet in chain(believable, [None]):  # None: what the decoder still holds back
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
    """Yield the mean of the channels, (samples,), full scale 1, without impossible samples.

    The number of channels and the sample format may change from frame to frame, as in an MP3 that
    mixes mono and stereo.
    """
    for _, alike in groupby(frames, key=lambda frame: (frame.format.name, frame.layout.name)):
        joined = av.AudioFifo()
        for frame in alike:
            frame.pts = None  # damage makes them jump, which a FIFO refuses
            joined.write(frame)
            if joined.samples >= _SAMPLES_AT_ONCE:
                yield from _mean_of_channels(joined.read())
        yield from _mean_of_channels(joined.read())


def between(
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


def mono_at(frames: Iterable[AudioFrame], wanted: int) -> Iterator[NDArray[np.float32]]:
    """As `mono`, at a rate of `wanted` Hz, also where the rate changes from frame to frame."""
    for rate, alike in groupby(frames, key=lambda frame: frame.sample_rate):
        yield from at_rate(mono(alike), rate, wanted=wanted)


def at_rate(
    blocks: Iterable[NDArray[np.float32]], rate: int, *, wanted: int
) -> Iterator[NDArray[np.float32]]:
    """Yield blocks of samples at another rate. Both rates are in Hz."""
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
    """Yield nothing for no frame."""
    if frame is not None:
        samples = frame.to_ndarray()
        if not frame.format.is_planar:
            samples = samples.reshape(-1, frame.layout.nb_channels).T
        with np.errstate(all="ignore"):  # of samples that are no numbers, or too large
            mean = np.asarray(_full_scale_one(samples).mean(axis=0), dtype=np.float32)
            mean[~(np.abs(mean) < _LOUDEST)] = 0
        yield mean


def _full_scale_one(samples: NDArray[Any]) -> NDArray[Any]:
    """Scale integers as FFmpeg does: divided by the power of two that none of them exceeds."""
    if np.issubdtype(samples.dtype, np.floating):
        return np.ascontiguousarray(samples)
    half = np.float32(2 ** (8 * samples.dtype.itemsize - 1))
    centre = half if samples.dtype == np.uint8 else np.float32(0)
    return (samples.astype(np.float32, order="C") - centre) / half
