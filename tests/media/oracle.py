"""Read files without covergen's own code."""

import hashlib
from pathlib import Path

import av
import mutagen

__all__ = ["decoded_hash", "front_cover", "texts"]


def decoded_hash(path: Path) -> str:
    """SHA-256 of the samples and their format, as PyAV decodes the first audio stream.

    Equal hashes before and after a write prove that every sample is the same. Raises
    av.FFmpegError if the file cannot be decoded.
    """
    digest = hashlib.sha256()
    with av.open(path) as file:
        stream = file.streams.audio[0]
        digest.update(f"{stream.sample_rate} {stream.layout.name} {stream.format.name}".encode())
        for frame in file.decode(stream):
            digest.update(frame.to_ndarray().tobytes())
    return digest.hexdigest()


def front_cover(path: Path) -> bytes | None:
    """The only picture in a file according to FFmpeg; for DFF, which it lacks, to mutagen."""
    if path.suffix == ".dff":
        tags = mutagen.File(path).tags
        frames = tags.getall("APIC") if tags else []
        found = [frame.data for frame in frames]
    else:
        with av.open(path) as file:
            packets = file.demux(video=0) if file.streams.video else ()
            found = [bytes(packet) for packet in packets if packet.size]
    assert len(found) < 2
    return found[0] if found else None


def texts(path: Path) -> dict[str, str]:
    """All tags as mutagen knows them, or else FFmpeg, pictures left out."""
    if path.suffix == ".mka":  # which mutagen does not know
        with av.open(path) as file:
            return dict(file.metadata)
    pictures = ("APIC", "covr", "metadata_block_picture", "WM/Picture", "Cover Art")
    tags = mutagen.File(path).tags or {}
    return {
        k: str(v)
        for k, v in tags.items()
        if not k.lower().startswith(tuple(map(str.lower, pictures)))
    }
