"""What the tests of writing share: tracks as a scan would see them, pictures, and a digest."""

import hashlib
from pathlib import Path

import av

from covergen.core.picture import Picture
from covergen.core.types import Outcome, Track
from covergen.library.rewrite import RewriteOptions, write_cover
from tests.media import picture_bytes

PNG = Picture.parse(picture_bytes("png", 48, (10, 120, 40)))
JPEG = Picture.parse(picture_bytes("jpeg", 64, (200, 30, 60)))
OTHER = picture_bytes("png", 16, (1, 2, 3))


def large(picture: Picture, size_bytes: int) -> Picture:
    """The same picture with a tail, which decoders pass over."""
    data = picture.data + bytes(i * 37 % 251 for i in range(size_bytes - len(picture.data)))
    return Picture(
        data=data, mime=picture.mime, width=picture.width, height=picture.height, depth=24
    )


def track(path: Path, container: str) -> Track:
    """A track as it is on the disk at this moment."""
    status = path.stat()
    return Track(
        path=path,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        container=container,
        has_art=False,
    )


def packet_hash(path: Path) -> str:
    """A hash of the audio stream's parameters and packets, as FFmpeg demuxes them."""
    digest = hashlib.sha256()
    with av.open(path) as file:
        stream = file.streams.audio[0]
        context = stream.codec_context
        digest.update(f"{context.name} {context.sample_rate} {context.channels}".encode())
        digest.update(context.extradata or b"")
        for packet in file.demux(stream):
            digest.update(bytes(packet))
    return digest.hexdigest()


def write(path: Path, container: str, picture: Picture, **options: object) -> Outcome:
    """Write a cover as a run would."""
    return write_cover(
        track(path, container),
        picture,
        audio_digest=packet_hash,
        options=RewriteOptions(**options),  # type: ignore[arg-type]  # checked where it is defined
    )
