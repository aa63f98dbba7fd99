"""Helpers for tests that write covers: tracks, pictures, and an audio comparison."""

import hashlib
from dataclasses import replace
from pathlib import Path

import av

from covergen.core.album import Outcome, Status
from covergen.core.errors import DecodeError
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.library.writing.rewrite import RewriteOptions, SameSound, write_cover
from tests.media import decoded_hash, picture_bytes
from tests.values import track_at as track

PNG = Picture.parse(picture_bytes("png", 48, (10, 120, 40)))
JPEG = Picture.parse(picture_bytes("jpeg", 64, (200, 30, 60)))
OTHER = picture_bytes("png", 16, (1, 2, 3))

# One container for each module in library/formats.
TAG_FORMATS = (
    "mp3",
    "wav",
    "flac",
    "mp4",
    "vorbis",
    "oggflac",
    "asf",
    "wavpack",
    "matroska",
)


def large(picture: Picture, size_bytes: int) -> Picture:
    """The same picture with trailing bytes, which decoders ignore."""
    tail = bytes(range(251)) * (size_bytes // 251 + 1)
    return replace(picture, data=(picture.data + tail)[:size_bytes])


def packet_hash(path: Path) -> str:
    """A hash of the audio stream's parameters and packets, as FFmpeg demuxes them."""
    digest = hashlib.sha256()
    try:
        with av.open(path, metadata_errors="ignore") as file:
            if file.format.name == "ape":  # its last packet includes the tags
                return decoded_hash(path)
            stream = file.streams.audio[0]
            context = stream.codec_context
            digest.update(f"{context.name} {context.sample_rate} {context.channels}".encode())
            digest.update(context.extradata or b"")
            for packet in file.demux(stream):
                digest.update(bytes(packet))
    except (av.FFmpegError, IndexError) as error:
        raise DecodeError(path, str(error)) from error
    return digest.hexdigest()


def same_packets(one: Path, other: Path) -> bool:
    """Whether FFmpeg demuxes the same packets from two files."""
    return packet_hash(one) == packet_hash(other)


def write(
    path: Path,
    container: str,
    picture: Picture,
    options: RewriteOptions = RewriteOptions(),  # noqa: B008 - it is frozen
    *,
    same_sound: SameSound = same_packets,
) -> Outcome:
    """Write a cover like a run."""
    seen = track(path, container)
    return write_cover(seen, picture, same_sound=same_sound, options=options)


def assert_refused(outcome: Outcome, reason: Reason, song: Path, original: bytes) -> None:
    assert (outcome.status, outcome.reason, outcome.path) == (Status.FAILED, reason, song)
    assert outcome.message
    assert song.read_bytes() == original
    assert list(song.parent.iterdir()) == [song]
