"""Compare the audio of two files, byte by byte."""

import os
from collections.abc import Generator
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, TypeAlias

from av.audio.stream import AudioStream
from av.stream import Disposition

from covergen.audio.audio_span import sound_span
from covergen.audio.av_errors import decode_errors
from covergen.audio.source import audio_stream, codec_parameters, open_source, packets_of
from covergen.core.errors import DecodeError

_BLOCK_BYTES = 256 << 10  # two blocks fit into the CPU cache
_FLAC_STREAMINFO = 0
# Formats with tags only before and after the audio: Monkey's Audio, Musepack 7/8, TTA, WavPack.
_BARE = (b"MAC ", b"MP+", b"MPCK", b"TTA1", b"wvpk")

_Pieces: TypeAlias = Generator[object, None, None]


def same_sound(one: Path, other: Path) -> bool:
    """Whether two files contain the same audio, regardless of their tags.

    If tags are only before and after the audio, every byte between them is compared. In other
    containers, every packet is compared, with its time, of every stream except pictures. Raises
    DecodeError for a file without audio.
    """
    with closing(_sound(one)) as pieces, closing(_sound(other)) as others:
        return all(piece == other for piece, other in zip_longest(pieces, others))


def _sound(path: Path) -> _Pieces:
    """Yield the audio of a file in pieces that are equal if the audio is."""
    with decode_errors(path), path.open("rb") as file:
        start, end = sound_span(file)
        file.seek(start)
        head = file.read(4)
        if head == b"fLaC":
            yield _flac_header(path, file, end)
        elif not head.startswith(_BARE) and not _is_mpeg(head):
            yield from _packets(path)
            return
        else:
            file.seek(start)
        while block := file.read(min(_BLOCK_BYTES, end - file.tell())):
            yield block


def _is_mpeg(head: bytes) -> bool:
    """Whether an MPEG audio frame starts here: its first eleven bits are set."""
    return head[:1] == b"\xff" and head[1:2] >= b"\xe0"


def _flac_header(path: Path, file: BinaryIO, end: int) -> bytes:
    """Seek to the first frame; return STREAMINFO, the only metadata block that affects the audio.

    Source: RFC 9639, section 8.
    """
    is_last, streaminfo = 0, b""
    while not is_last:
        header = file.read(4)
        if len(header) < 4:
            break
        is_last, kind, size = header[0] >> 7, header[0] & 0x7F, int.from_bytes(header[1:])
        if kind == _FLAC_STREAMINFO:
            streaminfo += file.read(size)
        else:
            file.seek(size, os.SEEK_CUR)
    if file.tell() >= end:
        raise DecodeError(path, "it ends before its first audio frame")
    return streaminfo


def _packets(path: Path) -> _Pieces:
    with open_source(path) as container:
        audio_stream(container, path)
        streams = [s for s in container.streams if not s.disposition & Disposition.attached_pic]
        yield [codec_parameters(stream) for stream in streams if isinstance(stream, AudioStream)]
        # Pictures are streams too, and shift the indices of the others.
        number = {stream.index: n for n, stream in enumerate(streams)}
        for packet in packets_of(container, *streams):
            times = packet.pts, packet.dts, packet.duration
            yield number[packet.stream_index], times, bytes(packet)
