"""A music file opened for its sound alone: the tags around it are out of FFmpeg's sight.

FFmpeg would count the tags that lie before and behind the sound as a part of the duration (MP3)
or of the last packet (Monkey's Audio).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from covergen.audio.av_errors import decode_errors
from covergen.audio.span import sound_span
from covergen.core.errors import DecodeError

__all__ = ["audio_stream", "codec_parameters", "open_source"]

# The formats of music files. FFmpeg also knows playlists, which would make it open other files.
_FORMATS = "aac,aiff,ape,asf,dsf,flac,iff,mov,mp3,mpc,mpc8,ogg,tta,w64,wav,wv"
# Read to recognise a file. FFmpeg's usual 5 MB would cost a WAV file 20 ms, and change nothing.
_PROBE_BYTES = 1 << 18


@contextmanager
def open_source(path: Path) -> Iterator[InputContainer]:
    """Open a music file by its content, whatever its name says.

    What PyAV raises, here or in the body of the `with`, becomes DecodeError.
    """
    with decode_errors(path), path.open("rb", buffering=0) as file:
        view = _View(file, *sound_span(file))
        options = {"format_whitelist": _FORMATS, "probesize": str(_PROBE_BYTES)}
        with av.open(view, "r", container_options=options, metadata_errors="replace") as container:
            yield container


def audio_stream(container: InputContainer, path: Path) -> AudioStream:
    """Return the first audio stream. Raises DecodeError without one or without its decoder."""
    if not container.streams.audio:
        raise DecodeError(path, "it holds no audio")
    stream = container.streams.audio[0]
    codec: object = stream.codec_context  # None where FFmpeg has no decoder
    if codec is None or stream.codec_context.sample_rate <= 0:
        raise DecodeError(path, "it holds audio of an unknown kind")
    return stream


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
    """A stretch of an open file, as a file for PyAV.

    It never raises for a place that cannot be: PyAV would print that, and damaged files make
    FFmpeg look for such.
    """

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file = file
        self._start = self._place = start
        self._end = end

    def read(self, size: int) -> bytes:
        if self._place >= self._end:
            return b""
        self._file.seek(self._place)
        data = self._file.read(min(size, self._end - self._place))
        self._place += len(data)
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
