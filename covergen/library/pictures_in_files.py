"""Read and edit the pictures in music files."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from covergen.core.album import Album
from covergen.core.errors import TagError, WriteError
from covergen.core.picture import Picture, is_image
from covergen.core.reasons import Reason
from covergen.library.containers import CONTAINERS
from covergen.library.formats import id3
from covergen.library.formats.embedded_picture import (
    FRONT_COVER,
    ICONS,
    EmbeddedPicture,
    PictureFilter,
    TooLargeError,
)
from covergen.library.mutagen_errors import DAMAGE, message_of, tag_errors

_MAYBE_DAMAGED = "the file may be damaged"
_MAX_FILE_BYTES = 64 << 20  # no sensible cover file is larger


def read_pictures(path: Path, container: str) -> list[EmbeddedPicture]:
    """Return all pictures, in order, in the tag that `edit_pictures` edits. Raises TagError."""
    row = CONTAINERS[container]
    with tag_errors(path), path.open("rb") as file:
        return row.tags.pictures(row.open(file))


def shown_pictures(path: Path, container: str) -> list[EmbeddedPicture]:
    """Return the `read_pictures`, and those in other tags that players show. Raises TagError."""
    row = CONTAINERS[container]
    with tag_errors(path), path.open("rb") as file:
        opened = row.open(file)
        found = row.tags.pictures(opened)
        if row.tags.place:
            tags = id3.further_tags(file, row.tags.place, opened)
            found += id3.further_pictures(file, row.tags.place, tags)
        return found


def covers_of(album: Album) -> Iterator[bytes]:
    """Yield the picture that players show for each track, then the cover file, as bytes.

    There may be duplicates, or damaged pictures. Unreadable and oversized ones are skipped.
    """
    for track in album.tracks:
        if track.has_art:
            with suppress(TagError):
                pictures = shown_pictures(track.path, track.container)
                images = (picture for picture in pictures if is_image(picture.data))
                yield from (picture.data for picture in sorted(images, key=_rank)[:1])
    if album.cover_file is not None:
        with suppress(OSError):
            if album.cover_file.stat().st_size <= _MAX_FILE_BYTES:
                yield album.cover_file.read_bytes()


def _rank(picture: EmbeddedPicture) -> tuple[bool, bool]:
    """Sort like players: the front cover first, then pictures that are not icons."""
    return picture.kind != FRONT_COVER, picture.kind in ICONS


def edit_pictures(
    path: Path, container: str, should_remove: PictureFilter, new: Picture | None
) -> str:
    """Remove pictures from a file, in place, and add `new` as front cover.

    Call it on a copy: an error may leave the file half-written. Returns a note for the outcome, or
    "". Raises TagError if the file is damaged, WriteError if the picture does not fit, and OSError.
    """
    with _damage(path), path.open("r+b") as file:
        try:
            return CONTAINERS[container].tags.edit(file, should_remove, new)
        except TooLargeError as error:
            raise WriteError(path, Reason.TOO_LARGE, str(error)) from error


def remaining(
    path: Path, container: str, should_remove: PictureFilter, *, prefilled: bool = False
) -> object:
    """Return everything that an edit must not change, for comparison before and after.

    That is the raw bytes of all tags, ordered hashes of the pictures that `should_remove` does not
    select, and the tags as mutagen reads them. `should_remove` must select the new front cover too.
    `prefilled`: for a file without a tag, include what a new tag repeats from other tags. Raises
    TagError.
    """
    row = CONTAINERS[container]
    with path.open("rb") as file:
        with tag_errors(path):
            opened = row.open(file)
        with _damage(path):
            if prefilled and row.tags.prefill:
                row.tags.prefill(opened, file)
                raw = row.tags.rest(file, should_remove, prefilled=True)
            else:
                raw = row.tags.rest(file, should_remove)
    with tag_errors(path):
        pictures = row.tags.pictures(opened)
        kept = [sha256(picture.data).digest() for picture in pictures if not should_remove(picture)]
        return kept, row.tags.others(opened), raw


def fault_in(file: BinaryIO, container: str) -> str:
    """Return why the pictures in an open file cannot be edited, or "" if no damage is found.

    A quick check of the structure. Moves the file's position. Raises OSError.
    """
    try:
        CONTAINERS[container].tags.check(file)
    except DAMAGE as error:
        return f"{_damage_message(error)}; {_MAYBE_DAMAGED}"
    return ""


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn the exceptions that a damaged file causes into TagError."""
    try:
        yield
    except DAMAGE as error:
        raise TagError(path, _damage_message(error), hint=_MAYBE_DAMAGED) from error


def _damage_message(error: Exception) -> str:
    message = message_of(error)
    return f"invalid file structure{message and ': '}{message}"
