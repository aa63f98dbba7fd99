"""Find cover files such as cover.jpg in album folders."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from covergen.core.album import Album
from covergen.core.picture import is_image
from covergen.library.scanning.album_folder import AlbumFolder, Folder, pictures_in
from covergen.library.scanning.cover_globs import CoverGlobs
from covergen.library.scanning.normalized_tags import names_album

_HEAD_BYTES = 512

IsPicture = Callable[[Path, str], bool | None]
"""Whether the named file in or below a folder is a picture; None if it is not a regular file."""


def with_cover_files(
    albums: Sequence[Album], place: AlbumFolder, globs: CoverGlobs, check_picture: IsPicture
) -> Iterator[Album]:
    """Yield the albums of a folder and its discs, each with its own cover file.

    A cover file belongs to an album if that is the only one with tracks in the folder (or, for a
    file above the disc folders, in any of them), or if the file is named after the album. Files
    that are not pictures are not cover files.
    """
    above = Folder(path=place.path, pictures=place.pictures)
    folders = [folder for folder in place.folders if folder.files and folder.pictures]
    if not (above.pictures or folders):
        yield from albums
    elif len(albums) == 1:
        inside = (folder for folder in folders if folder.path != above.path)
        own = not (place.partial and _is_loose(albums[0]))
        places = [(folder, own) for folder in (above, *inside)]
        yield _with_cover_file(albums[0], places, globs, check_picture)
    else:
        albums_in_folder: dict[Path, set[int]] = {}
        for number, album in enumerate(albums):
            for track in album.tracks:
                albums_in_folder.setdefault(track.path.parent, set()).add(number)
        for number, album in enumerate(albums):
            shared = {above.path: (above, False)}
            for folder in folders:
                if number in albums_in_folder.get(folder.path, ()):
                    shared[folder.path] = folder, albums_in_folder[folder.path] == {number}
            yield _with_cover_file(album, list(shared.values()), globs, check_picture)


def _is_loose(album: Album) -> bool:
    """Whether the album is a single track that names no album."""
    return len(album.tracks) == 1 and not names_album(album.tracks[0])


def _with_cover_file(
    album: Album, places: Sequence[tuple[Folder, bool]], globs: CoverGlobs, check_picture: IsPicture
) -> Album:
    broken = None
    for folder, own in places:
        titles = partial(_titles, album, folder, own=own)
        for name in globs.ranked(folder.pictures, titles, own=own):
            is_image = check_picture(folder.path, name)
            if is_image:
                return replace(album, cover_file=folder.path / name)
            if is_image is False:
                broken = broken or folder.path / name
    return replace(album, broken_file=broken) if broken else album


def _titles(album: Album, folder: Folder, *, own: bool) -> Iterator[str]:
    """Yield what a cover file may be named after: the album's title, its folder, its only track."""
    yield album.title
    if own:
        yield folder.path.name
    if len(album.tracks) == 1:
        yield album.tracks[0].path.stem


def find_cover_file(album: Album, globs: CoverGlobs) -> Path | None:
    """Find the album's cover file on disk now. Returns None if there is none."""
    folders = dict.fromkeys([album.folder, *(track.path.parent for track in album.tracks)])
    own = not album.shares_folder
    places = [(Folder(path=path, pictures=pictures_in(path, globs)), own) for path in folders]
    return _with_cover_file(album, places, globs, _may_be_picture).cover_file


def is_picture(path: Path) -> bool | None:
    """Whether a file begins like an image; None if it is not a regular file. Raises OSError."""
    if not path.is_file():  # reading a pipe would block
        return None
    with path.open("rb") as file:
        return is_image(file.read(_HEAD_BYTES))


def _may_be_picture(folder: Path, name: str) -> bool | None:
    try:
        return is_picture(folder / name)
    except OSError:
        return True  # unreadable, but it may well be a cover
