"""Matroska files written anew by FFmpeg, with other tags or attachments: an independent writer."""

import io
from collections.abc import Mapping
from pathlib import Path

import av

__all__ = ["put_matroska_picture", "put_matroska_tags", "remuxed"]

_NAMES = {
    "track_number": "track",
    "disc_number": "disc",
    "musicbrainz_album_id": "musicbrainz_albumid",
}


def put_matroska_tags(path: Path, tags: Mapping[str, str]) -> None:
    """Add tags, named as the fields of `covergen.core.album.Track`."""
    remuxed(path, path, tags={_NAMES.get(name, name): value for name, value in tags.items()})


def put_matroska_picture(path: Path, data: bytes, kind: int) -> None:
    """Attach one more picture, or bytes said to be a JPEG; its kind is told by its name."""
    mime = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
    name = {3: "cover", 4: "back"}.get(kind, "picture")
    remuxed(path, path, attachments=[(f"{name}.{mime.removeprefix('image/')}", mime, data)])


def remuxed(
    source: Path,
    target: Path,
    *,
    tags: Mapping[str, str] | None = None,
    attachments: list[tuple[str, str, bytes]] | None = None,
    **options: str,
) -> Path:
    """The same packets in a new file, with the tags and pictures that were there and these."""
    with av.open(source) as file:
        attached = {packet.stream.index: bytes(packet) for packet in file.demux() if packet.size}
        pictures = [
            (s.metadata["filename"], s.metadata["mimetype"], attached[s.index])
            for s in file.streams.video
        ]
    with av.open(source) as file:
        (stream,) = file.streams.audio
        packets = [packet for packet in file.demux(stream) if packet.size]
        out = io.BytesIO()
        with av.open(out, "w", format="matroska", container_options=options) as new:
            new.metadata.update({**file.metadata, **(tags or {})})
            copy = new.add_stream_from_template(stream)
            for attachment in pictures + (attachments or []):
                new.add_attachment(*attachment)
            for packet in packets:
                packet.stream = copy
                new.mux(packet)
    target.write_bytes(out.getvalue())
    return target
