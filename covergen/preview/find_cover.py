"""Find which album of a preview a picture file was painted for."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from covergen.core.album import Album
from covergen.core.errors import UsageError
from covergen.preview.manifest import AlbumEntry, Manifest
from covergen.preview.origins import recall_origin


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewCover:
    """A cover in the preview `folder`: that of this `number`, from 1, of an album's `covers`.

    `album` has no tracks. `track` is its first one; None if the library is not where it was.
    """

    folder: Path
    album: Album
    number: int
    covers: int
    track: Path | None


def find_preview_cover(path: Path, album_key: str) -> PreviewCover | None:
    """Return what a preview says of the picture file `path`, None if it is in no preview.

    `album_key` is the key in the picture.
    """
    folder = path.absolute().parent.parent
    try:
        manifest = Manifest(folder)
    except UsageError:  # most pictures are in no preview
        return None
    with closing(manifest):
        for entry in manifest:
            files = [candidate.cover for candidate in entry.candidates]
            if path.name in files and entry.key == album_key:
                return PreviewCover(
                    folder=folder,
                    album=_album(entry),
                    number=files.index(path.name) + 1,
                    covers=len(files),
                    track=_first_track(manifest, entry),
                )
    return None


def _album(entry: AlbumEntry) -> Album:
    return Album(
        key=entry.key,
        folder=Path(entry.folder),
        title=entry.title,
        artist=entry.artist,
        date=entry.date,
        tracks=(),
    )


def _first_track(manifest: Manifest, entry: AlbumEntry) -> Path | None:
    origin = recall_origin(manifest.header.preview)
    if origin is None or len(origin.roots) != len(manifest.header.roots):
        return None
    paths = (origin.roots[entry.root] / track.path for track in entry.tracks[:1])
    return next((path for path in paths if path.is_file()), None)
