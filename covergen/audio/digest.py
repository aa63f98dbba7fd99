"""A hash of a file's sound: equal as long as no byte of it was changed, lost or added."""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO, Protocol

from av.audio.stream import AudioStream
from av.stream import Disposition

from covergen.audio.av_errors import decode_errors
from covergen.audio.source import audio_stream, codec_parameters, open_source
from covergen.audio.span import sound_span
from covergen.core.errors import DecodeError

__all__ = ["audio_digest"]

_BLOCK_BYTES = 1 << 20
_FLAC_STREAMINFO = 0
# Streams that tags only surround: Monkey's Audio, Musepack 7 and 8, TTA, WavPack.
_BARE = (b"MAC ", b"MP+", b"MPCK", b"TTA1", b"wvpk")


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...


def audio_digest(path: Path) -> str:
    """Return a SHA-256 over the sound of the file, in hexadecimal, whatever its tags hold.

    Where tags lie only before and behind the sound, every byte between them counts. In other
    containers every packet counts, with its time, of every stream but the pictures. Raises
    DecodeError.
    """
    digest = hashlib.sha256()
    with decode_errors(path), path.open("rb") as file:
        start, end = sound_span(file)
        file.seek(start)
        head = file.read(4)
        if head == b"fLaC":
            start = _past_flac_metadata(path, file, digest)
        elif not head.startswith(_BARE) and not _is_mpeg(head):
            return _packet_digest(path)
        _update_with_bytes(digest, file, start, end)
    return digest.hexdigest()


def _is_mpeg(head: bytes) -> bool:
    """Whether a frame of MPEG audio begins here: eleven bits are set."""
    return head[:1] == b"\xff" and head[1:2] >= b"\xe0"


def _past_flac_metadata(path: Path, file: BinaryIO, digest: _Hash) -> int:
    """Return the offset of the first frame. Of the blocks before it only STREAMINFO is sound.

    Source: RFC 9639, section 8.
    """
    is_last = 0
    while not is_last:
        header = file.read(4)
        if len(header) < 4:
            raise DecodeError(path, "it ends before its first audio frame")
        is_last, kind, size = header[0] >> 7, header[0] & 0x7F, int.from_bytes(header[1:])
        if kind == _FLAC_STREAMINFO:
            digest.update(file.read(size))
        else:
            file.seek(size, os.SEEK_CUR)
    return file.tell()


def _update_with_bytes(digest: _Hash, file: BinaryIO, start: int, end: int) -> None:
    file.seek(start)
    while block := file.read(min(_BLOCK_BYTES, end - file.tell())):
        digest.update(block)


def _packet_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open_source(path) as container:
        audio_stream(container, path)
        streams = [s for s in container.streams if not s.disposition & Disposition.attached_pic]
        for stream in streams:
            if isinstance(stream, AudioStream):
                digest.update(codec_parameters(stream))
        # Pictures are streams too, and shift the numbers of the others.
        number = {stream.index: n for n, stream in enumerate(streams)}
        for packet in container.demux(streams):
            if packet.size:
                times = f"{packet.pts} {packet.dts} {packet.duration} {packet.size}"
                digest.update(f"{number[packet.stream_index]} {times} ".encode())
                digest.update(memoryview(packet))
    return digest.hexdigest()
