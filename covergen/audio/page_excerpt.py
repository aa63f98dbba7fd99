"""A stretch of a track made small for a page: MP3, which every browser plays."""

from __future__ import annotations

import io
from itertools import chain
from typing import TYPE_CHECKING

import av
import numpy as np

from covergen.audio.source import audio_stream, is_music, open_source, packets_of
from covergen.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from numpy.typing import NDArray

__all__ = ["page_excerpt"]

_RATE_HZ = 32_000
_BITS_A_SECOND = 48_000  # 20 s are 120 kB
_MOST_SAMPLES_A_FRAME = 1 << 22  # damage may claim anything, and FFmpeg would make room for it


def page_excerpt(path: Path, *, seconds: int = 20) -> bytes:
    """The middle of a track, or all of a shorter one, as an MP3 file: mono, without tags.

    Raises DecodeError.
    """
    with open_source(path) as container:
        stream = audio_stream(container, path)
        if stream.codec_context.name != "ape":  # its option of that name has another meaning
            stream.codec_context.options = {"max_samples": str(_MOST_SAMPLES_A_FRAME)}
        _seek_before_middle(container, stream, seconds)
        samples = _mono(_frames(container, stream), seconds * _RATE_HZ)
        if not samples.size:
            raise DecodeError(path, "its audio is empty or damaged throughout")
        return _mp3(samples)


def _seek_before_middle(container: InputContainer, stream: AudioStream, seconds: int) -> None:
    if stream.duration and stream.time_base:
        start = stream.duration // 2 - round(seconds / 2 / stream.time_base)
        if start > 0:
            container.seek((stream.start_time or 0) + start, stream=stream)


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Yield the frames from here on that have the format of the first; damage gives none."""
    wanted: tuple[int, str, int] | None = None
    for packet in packets_of(container, stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            found = frame.sample_rate, frame.format.name, frame.layout.nb_channels
            if is_music(found[0], found[2]) and wanted in (None, found):
                wanted = found
                yield frame


def _mono(frames: Iterator[AudioFrame], most: int) -> NDArray[np.float32]:
    """At most so many samples, (n,), none louder than full scale."""
    resampler = av.AudioResampler("flt", "mono", _RATE_HZ)
    parts = [np.empty(0, dtype=np.float32)]
    missing = most
    for frame in chain(frames, [None]):  # None: what the resampler still holds
        heard = [part.to_ndarray()[0] for part in resampler.resample(frame)]
        parts += heard
        missing -= sum(map(len, heard))
        if missing <= 0:
            break
    samples = np.nan_to_num(np.concatenate(parts)[:most])
    loudest = np.abs(samples).max(initial=1)
    return np.asarray(samples / loudest, dtype=np.float32)


def _mp3(samples: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    options = {"id3v2_version": "0", "fflags": "+bitexact"}
    with av.open(file, "w", format="mp3", options=options) as container:
        stream = container.add_stream("libmp3lame", rate=_RATE_HZ, layout="mono")
        stream.bit_rate = _BITS_A_SECOND
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate = _RATE_HZ
        for sound in (frame, None):  # None: what the encoder still holds
            container.mux(stream.encode(sound))
    return file.getvalue()
