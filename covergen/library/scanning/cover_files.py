"""The picture files beside the tracks that are covers of albums."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from covergen.core.picture import is_image
from covergen.core.types import Album
from covergen.library.scanning.cover_names import CoverNames
from covergen.library.scanning.folders import AlbumFolder, Folder, pictures_in
from covergen.library.scanning.grouping import names_album

__all__ = ["find_cover_file", "is_picture", "with_cover_files"]

_HEAD_BYTES = 512

IsPicture = Callable[[Path, str], bool | None]
"""Whether the file of this name in or below a folder is a picture; None where it is no file."""


def with_cover_files(
    albums: Sequence[Album], place: AlbumFolder, names: CoverNames, look: IsPicture
) -> Iterator[Album]:
    """The albums of a folder and its discs, each with the cover file that is its own.

    A cover file is that of the only album whose tracks lie in its folder, or, in the folder above
    the discs, in any of them; or it is named as the album. One that is no picture is none.
    """
    above = Folder(path=place.path, pictures=place.pictures)
    folders = [folder for folder in place.folders if folder.files and folder.pictures]
    if not (above.pictures or folders):
        yield from albums
    elif len(albums) == 1:
        inside = (folder for folder in folders if folder.path != above.path)
        own = not (place.partial and _is_loose(albums[0]))
        places = [(folder, own) for folder in (above, *inside)]
        yield _with_cover_file(albums[0], places, names, look)
    else:
        lodgers: dict[Path, set[int]] = {}
        for number, album in enumerate(albums):
            for track in album.tracks:
                lodgers.setdefault(track.path.parent, set()).add(number)
        for number, album in enumerate(albums):
            shared = {above.path: (above, False)}
            for folder in folders:
                if number in lodgers.get(folder.path, ()):
                    shared[folder.path] = folder, lodgers[folder.path] == {number}
            yield _with_cover_file(album, list(shared.values()), names, look)


def _is_loose(album: Album) -> bool:
    """Whether it is a single, beside which there may be others."""
    return len(album.tracks) == 1 and not names_album(album.tracks[0])


def _with_cover_file(
    album: Album, places: Sequence[tuple[Folder, bool]], names: CoverNames, look: IsPicture
) -> Album:
    broken = None
    for folder, own in places:
        titles = partial(_titles, album, folder, own=own)
        for name in names.ranked(folder.pictures, titles, own=own):
            verdict = look(folder.path, name)
            if verdict:
                return replace(album, cover_file=folder.path / name)
            if verdict is False:
                broken = broken or folder.path / name
    return replace(album, broken_file=broken) if broken else album


def _titles(album: Album, folder: Folder, *, own: bool) -> Iterator[str]:
    """What a picture of the album can be named after: its title, its folder, its only file."""
    yield album.title
    if own:
        yield folder.path.name
    if len(album.tracks) == 1:
        yield album.tracks[0].path.stem


def find_cover_file(album: Album, names: CoverNames) -> Path | None:
    """The cover file of an album as it lies there now, or None."""
    folders = dict.fromkeys([album.folder, *(track.path.parent for track in album.tracks)])
    own = not album.shares_folder
    places = [(Folder(path=path, pictures=pictures_in(path, names)), own) for path in folders]
    return _with_cover_file(album, places, names, _may_be_picture).cover_file


def is_picture(path: Path) -> bool | None:
    """Whether a file begins as an image does. None where it is no file. Raises OSError."""
    if not path.is_file():  # a pipe would keep us waiting
        return None
    with path.open("rb") as file:
        return is_image(file.read(_HEAD_BYTES))


def _may_be_picture(folder: Path, name: str) -> bool | None:
    try:
        return is_picture(folder / name)
    except OSError:
        return True  # what nobody can look into is not to be taken for none
