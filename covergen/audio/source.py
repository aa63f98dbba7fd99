"""A music file opened for its sound alone: the tags around it are out of FFmpeg's sight.

FFmpeg would count the tags that lie before and behind the sound as a part of the duration (MP3)
or of the last packet (Monkey's Audio).
"""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

import av

from covergen.audio.av_errors import decode_errors
from covergen.audio.span import sound_span
from covergen.core.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

AnyStream = TypeVar("AnyStream", bound="Stream")

__all__ = ["audio_stream", "codec_parameters", "is_music", "open_source", "packets_of"]

# The formats of music files. FFmpeg also knows playlists, which would make it open other files.
_FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,caf,dsf,dts,eac3,flac,iff,matroska,mov,mp3,mpc,mpc8,ogg,tta,w64,"
    "wav,wv"
)
# Read to recognise a file. FFmpeg's usual 5 MB would cost a WAV file 20 ms, and change nothing.
_PROBE_BYTES = 1 << 18
# What damage, not music, exceeds, at the price of gigabytes: DSD1024 in bytes a second, and the
# channels of fifth-order ambisonics with room to spare.
_HIGHEST_RATE_HZ = 5_644_800
_MOST_CHANNELS = 64
# How often a file's bytes are handed out, so that reading in circles ends: each of 100 windows may
# want them once where FFmpeg cannot seek.
_MOST_PASSES = 256
_BYTES_A_READ = 64  # each read counts for so many
# The largest block that music needs is an MP4's index: this is for 45 hours of AAC at 44.1 kHz.
_MOST_BYTES_AT_ONCE = 160 << 20


@contextmanager
def open_source(path: Path) -> Iterator[InputContainer]:
    """Open a music file by its content, whatever its name says.

    What PyAV raises, here or in the body of the `with`, becomes DecodeError. What a file claims of
    itself is not believed: it costs no more time and memory than its bytes are worth.
    """
    _limit_allocations()
    with decode_errors(path), path.open("rb", buffering=0) as file:
        view = _View(file, *sound_span(file))
        options = {"format_whitelist": _FORMATS, "probesize": str(_PROBE_BYTES)}
        with av.open(view, "r", container_options=options, metadata_errors="replace") as container:
            yield container


def _limit_allocations() -> None:
    """Have FFmpeg refuse larger blocks of memory, as its own program does with -max_alloc.

    PyAV does not offer this.
    """
    with suppress(AttributeError, OSError):  # where a library does not show those it is linked to
        ctypes.CDLL(av._core.__file__).av_max_alloc(ctypes.c_size_t(_MOST_BYTES_AT_ONCE))


def packets_of(container: InputContainer, *streams: AnyStream) -> Iterator[Packet[AnyStream]]:
    """Yield the packets of some streams that hold anything.

    Raises ValueError for more packets than the file has bytes.
    """
    most = container.size
    for number, packet in enumerate(container.demux(*streams)):
        if number > most:
            raise ValueError("there is no end to its packets")
        if packet.size:
            yield cast("Packet[AnyStream]", packet)


def audio_stream(container: InputContainer, path: Path) -> AudioStream:
    """Return the first audio stream.

    Raises DecodeError without one, without its decoder, or where it is too large to be music.
    """
    if not container.streams.audio:
        raise DecodeError(path, "it holds no audio")
    stream = container.streams.audio[0]
    codec: object = stream.codec_context  # None where FFmpeg has no decoder
    if codec is None or stream.codec_context.sample_rate <= 0:
        raise DecodeError(path, "it holds audio of an unknown kind")
    if len(stream.index_entries) > container.size:
        raise DecodeError(path, "its index claims more than the file holds")
    rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    if not is_music(rate, channels):
        message = f"it claims {channels} channels at {rate} Hz, which no music has"
        raise DecodeError(path, message, hint="restore it from a backup: its header is damaged")
    return stream


def is_music(rate: int, channels: int) -> bool:
    """Whether sound of this kind can be heard within reasonable memory. `rate` in Hz."""
    return 0 < rate <= _HIGHEST_RATE_HZ and channels <= _MOST_CHANNELS


def codec_parameters(stream: AudioStream) -> bytes:
    """Return what a decoder is told before the first packet; tags have no part in it."""
    codec = stream.codec_context
    setup = codec.extradata or b""
    if codec.name == "vorbis":
        # Of its three headers (identification, comments, codebooks) the second is the tag.
        identification = setup.partition(b"\x01vorbis")[2][:23]
        setup = identification + setup.rpartition(b"\x05vorbis")[2]
    facts = f"{codec.name} {codec.sample_rate} {codec.channels} {stream.time_base} {len(setup)} "
    return facts.encode() + setup


class _View:
    """A stretch of an open file, as a file for PyAV, which ends for who reads it again and again.

    It never raises for a place that cannot be: PyAV would print that, and damaged files make
    FFmpeg look for such.
    """

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file = file
        self._start = self._place = start
        self._end = end
        self._left = _MOST_PASSES * (end - start + _PROBE_BYTES)

    def read(self, size: int) -> bytes:
        if self._place >= self._end or self._left <= 0:
            return b""
        self._file.seek(self._place)
        data = self._file.read(min(size, self._end - self._place))
        self._place += len(data)
        self._left -= len(data) + _BYTES_A_READ
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
