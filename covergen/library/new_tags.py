"""Tags for the demo's new music files. Never used on a user's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mutagen
from mutagen import id3

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["label"]

_FRAMES = {
    "title": id3.TIT2,
    "artist": id3.TPE1,
    "albumartist": id3.TPE2,
    "album": id3.TALB,
    "date": id3.TDRC,
    "genre": id3.TCON,
    "tracknumber": id3.TRCK,
}


def label(path: Path, tags: Mapping[str, str]) -> None:
    """Tag a new file; the keys of `tags` are those of `_FRAMES`."""
    file = mutagen.File(path, easy=True)
    if file.tags is None:
        file.add_tags()
    for name, text in tags.items():
        if isinstance(file.tags, id3.ID3):  # WAV: mutagen has no easy interface for it
            file.tags.add(_FRAMES[name](encoding=id3.Encoding.UTF8, text=[text]))
        else:
            file[name] = text
    file.save()
