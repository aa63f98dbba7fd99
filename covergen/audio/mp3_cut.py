"""Cut an excerpt out of an MP3 file without re-encoding it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import av

from covergen.audio.source import audio_stream, open_source, packets_of
from covergen.core.errors import DecodeError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet


_CODECS = ("mp3", "mp3float")


def cut_mp3(path: Path, *, seconds: float) -> tuple[bytes, float]:
    """Return the middle of an MP3 file, or all of a shorter one, and its length in seconds.

    The excerpt is an MP3 file without tags; it is decoded once to check it. Raises DecodeError.
    """
    with open_source(path) as source:
        stream = audio_stream(source, path)
        if stream.codec_context.name not in _CODECS:
            raise DecodeError(path, f"it is {stream.codec_context.name}, not MP3")
        packets = list(packets_of(source, stream))
        if not packets:
            raise DecodeError(path, "it contains no audio")
        excerpt = _file_of(_middle(packets, seconds), stream)
        return excerpt, _decoded_seconds(excerpt)


def _middle(packets: list[Packet[AudioStream]], seconds: float) -> list[Packet[AudioStream]]:
    total = sum(float(_ticks(packet) * packet.time_base) for packet in packets)
    count = round(len(packets) * min(1, seconds / total))
    start = (len(packets) - count) // 2
    return packets[start : start + count]


def _file_of(packets: list[Packet[AudioStream]], template: AudioStream) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp3", options={"id3v2_version": "0"}) as container:
        stream = container.add_stream_from_template(template)
        time = 0
        for packet in packets:
            packet.stream, packet.pts, packet.dts = stream, time, time
            time += _ticks(packet)
            container.mux(packet)
    return file.getvalue()


def _ticks(packet: Packet[AudioStream]) -> int:
    return packet.duration or 1  # MP3 frames always have a duration


def _decoded_seconds(excerpt: bytes) -> float:
    with av.open(io.BytesIO(excerpt), "r", format="mp3") as container:
        stream = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(stream))
        return samples / stream.codec_context.sample_rate
