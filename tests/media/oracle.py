"""What a file sounds like, by a decoder that is none of covergen's own code."""

import hashlib
from pathlib import Path

import av

__all__ = ["decoded_hash"]


def decoded_hash(path: Path) -> str:
    """SHA-256 of the samples that PyAV decodes from the first audio stream, with their format.

    Equal hashes before and after a write prove that the music is the same to the sample. Raises
    av.FFmpegError where the file cannot be decoded.
    """
    digest = hashlib.sha256()
    with av.open(path) as file:
        stream = file.streams.audio[0]
        digest.update(f"{stream.sample_rate} {stream.layout.name} {stream.format.name}".encode())
        for frame in file.decode(stream):
            digest.update(frame.to_ndarray().tobytes())
    return digest.hexdigest()
