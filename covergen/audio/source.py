"""Open a music file with FFmpeg, hiding the tags before and after the audio.

FFmpeg would count these tags as part of the duration (MP3) or of the last packet (Monkey's Audio).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

import av

from covergen.audio.audio_span import sound_span
from covergen.audio.av_errors import decode_errors
from covergen.core.errors import DecodeError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

AnyStream = TypeVar("AnyStream", bound="Stream")


# The formats of music files. FFmpeg also supports playlists, which would open other files.
_FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,caf,dsf,dts,eac3,flac,iff,matroska,mov,mp3,mpc,mpc8,ogg,tta,w64,"
    "wav,wv"
)
# Read to detect the format. FFmpeg's default of 5 MB takes 20 ms for a WAV file and gains nothing.
_PROBE_BYTES = 1 << 18
# Only damaged files exceed these, at the cost of gigabytes: DSD1024 in bytes per second, and more
# channels than fifth-order ambisonics.
_MAX_RATE_HZ = 5_644_800
_MAX_CHANNELS = 64
# How often a file may be read in full, so that endless rereading stops: without seeking, each of
# 100 windows may read it once.
_MAX_PASSES = 256
_READ_COST_BYTES = 64  # added to each read
# The largest allocation that music needs is an MP4's index: enough for 45 hours of AAC at 44.1 kHz.
_MAX_ALLOCATION_BYTES = 160 << 20


@contextmanager
def open_source(path: Path) -> Iterator[InputContainer]:
    """Open a music file by its content, regardless of its name.

    PyAV's errors, here or in the body of the `with`, become DecodeError. Time and memory are
    limited in proportion to the file's size, whatever its headers claim.
    """
    _limit_allocations()
    with decode_errors(path), path.open("rb", buffering=0) as file:
        view = _View(file, *sound_span(file))
        options = {"format_whitelist": _FORMATS, "probesize": str(_PROBE_BYTES)}
        with av.open(view, "r", container_options=options, metadata_errors="replace") as container:
            yield container


def _limit_allocations() -> None:
    """Limit FFmpeg's allocations, as the ffmpeg command does with -max_alloc.

    PyAV has no function for this.
    """
    with suppress(AttributeError, OSError):  # if the symbol cannot be found through PyAV's library
        ctypes.CDLL(av._core.__file__).av_max_alloc(ctypes.c_size_t(_MAX_ALLOCATION_BYTES))


def packets_of(container: InputContainer, *streams: AnyStream) -> Iterator[Packet[AnyStream]]:
    """Yield the non-empty packets of these streams.

    Raises ValueError for more packets than the file has bytes.
    """
    limit = container.size
    for number, packet in enumerate(container.demux(*streams)):
        if number > limit:
            raise ValueError("it has an endless number of packets")
        if packet.size:
            yield cast("Packet[AnyStream]", packet)


def audio_stream(container: InputContainer, path: Path) -> AudioStream:
    """Return the first audio stream.

    Raises DecodeError if there is none, if FFmpeg has no decoder for it, or if its rate or
    channels are implausible.
    """
    if not container.streams.audio:
        raise DecodeError(path, "it contains no audio")
    stream = container.streams.audio[0]
    codec: object = stream.codec_context  # None where FFmpeg has no decoder
    if codec is None or stream.codec_context.sample_rate <= 0:
        raise DecodeError(path, "its audio format is not supported")
    if len(stream.index_entries) > container.size:
        raise DecodeError(path, "its index is larger than the file")
    rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    if not is_music(rate, channels):
        message = f"it claims {channels} channels at {rate} Hz, which is implausible"
        raise DecodeError(path, message, hint="restore it from a backup: its header is damaged")
    return stream


def is_music(rate: int, channels: int) -> bool:
    """Whether the rate (in Hz) and the number of channels are plausible."""
    return 0 < rate <= _MAX_RATE_HZ and channels <= _MAX_CHANNELS


def codec_parameters(stream: AudioStream) -> bytes:
    """Return the parameters that a decoder needs before the first packet, without tags."""
    codec = stream.codec_context
    setup = codec.extradata or b""
    if codec.name == "vorbis":
        # Of its three headers (identification, comments, codebooks) the second is the tag.
        identification = setup.partition(b"\x01vorbis")[2][:23]
        setup = identification + setup.rpartition(b"\x05vorbis")[2]
    facts = f"{codec.name} {codec.sample_rate} {codec.channels} {stream.time_base} {len(setup)} "
    return facts.encode() + setup


class _View:
    """A section of an open file, as a file object for PyAV; ends early if reread too often.

    Invalid seeks return -1 instead of raising: damaged files cause them, and PyAV would print the
    exception.
    """

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file = file
        self._start = self._place = start
        self._end = end
        self._left = _MAX_PASSES * (end - start + _PROBE_BYTES)

    def read(self, size: int) -> bytes:
        if self._place >= self._end or self._left <= 0:
            return b""
        self._file.seek(self._place)
        data = self._file.read(min(size, self._end - self._place))
        self._place += len(data)
        self._left -= len(data) + _READ_COST_BYTES
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origins = {os.SEEK_SET: self._start, os.SEEK_CUR: self._place, os.SEEK_END: self._end}
        place = origins[whence] + offset
        if place < self._start:
            return -1
        self._place = place
        return self.tell()

    def tell(self) -> int:
        return self._place - self._start
