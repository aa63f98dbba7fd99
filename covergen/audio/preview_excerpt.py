"""A short, small MP3 excerpt of a track for the preview page."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from covergen.audio.decode_frames import between, decode_packets, mono_at, open_decoder
from covergen.audio.source import audio_stream, open_source, packets_of
from covergen.core.errors import DecodeError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from numpy.typing import NDArray


_RATE_HZ = 32_000
_BIT_RATE = 48_000  # 20 s are 120 kB


def preview_excerpt(path: Path, *, seconds: int = 20) -> bytes:
    """Return the middle of a track, or all of a shorter one, as a mono MP3 file without tags.

    Raises DecodeError.
    """
    samples = _middle(path, seconds)
    if not samples.size:  # unusable time stamps
        samples = _middle(path, seconds, seek=False)
    if not samples.size:
        message = "its audio is empty or damaged throughout"
        raise DecodeError(path, message, hint=DecodeError.DAMAGED)
    return _mp3(samples / np.abs(samples).max(initial=1))


def _middle(path: Path, seconds: int, *, seek: bool = True) -> NDArray[np.float32]:
    """Return `seconds` of a track, (n,) mono: its middle, or its start without `seek`."""
    with open_source(path) as container:
        stream = audio_stream(container, path)
        codec = open_decoder(stream)
        if seek:
            _seek_before_middle(container, stream, seconds)
        with closing(decode_packets(codec, packets_of(container, stream))) as frames:
            blocks = between(mono_at(frames, _RATE_HZ), 0, seconds * _RATE_HZ)
            return np.concatenate([np.empty(0, dtype=np.float32), *blocks])


def _seek_before_middle(container: InputContainer, stream: AudioStream, seconds: int) -> None:
    if stream.duration and stream.time_base:
        start = stream.duration // 2 - round(seconds / 2 / stream.time_base)
        if start > 0:
            container.seek((stream.start_time or 0) + start, stream=stream)


def _mp3(samples: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    options = {"id3v2_version": "0", "fflags": "+bitexact"}
    with av.open(file, "w", format="mp3", options=options) as container:
        stream = container.add_stream("libmp3lame", rate=_RATE_HZ, layout="mono")
        stream.bit_rate = _BIT_RATE
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate = _RATE_HZ
        for sound in (frame, None):  # None flushes the encoder
            container.mux(stream.encode(sound))
    return file.getvalue()
