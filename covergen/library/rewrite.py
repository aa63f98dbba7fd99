"""Copy, edit, verify, replace: the only code in the project that changes a music file.

The original is only ever read until one atomic rename puts a verified copy in its place. Whatever
goes wrong before that, the original is as it was, byte for byte, and the copy is gone.
"""

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from covergen.core.errors import ItemError, WriteError
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.core.types import Outcome, Status, Track
from covergen.library.file_copy import copy_bytes, copy_metadata, sync_file, sync_folder
from covergen.library.os_errors import check_writable, write_errors
from covergen.library.pictures import (
    FRONT_COVER,
    EmbeddedPicture,
    put_front_cover,
    read_pictures,
    remaining,
)
from covergen.library.temporary import remove_stale, temporary

__all__ = ["RewriteOptions", "remove_stale", "write_cover"]

_SPACE_BYTES = 1 << 20  # for padding and the file system's own needs


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteOptions:
    """How files are replaced.

    `preserve_mtime`: the new file has the old one's modification time. `hardlinks`: a file with
    several names is left alone, or parted from its other names.
    """

    preserve_mtime: bool = False
    hardlinks: Literal["skip", "break"] = "skip"


def write_cover(
    track: Track,
    picture: Picture,
    *,
    audio_digest: Callable[[Path], str],
    options: RewriteOptions,
) -> Outcome:
    """Make `picture` the front cover of a music file, or leave the file exactly as it is.

    `audio_digest` hashes a file's audio alone, and may raise ItemError. A symbolic link stays, and
    the file that it leads to is written. Every failure of this file comes back as an Outcome.
    """
    try:
        with write_errors(track.path):
            return _write(track, picture, audio_digest, options)
    except ItemError as error:
        return replace(Outcome.of_error(error), path=track.path)


def _write(
    track: Track, picture: Picture, audio_digest: Callable[[Path], str], options: RewriteOptions
) -> Outcome:
    path = Path(os.path.realpath(track.path, strict=True))
    before = path.stat()
    _check_unchanged(track, before)
    if _is_front_cover_of(path, track.container, picture):
        return Outcome(path=track.path, status=Status.UNCHANGED, reason=Reason.EQUAL)
    if before.st_nlink > 1 and options.hardlinks == "skip":
        return Outcome(path=track.path, status=Status.SKIPPED, reason=Reason.HARD_LINKED)
    check_writable(path, "the file")
    check_writable(path.parent, "its folder")
    _check_space(path, before.st_size + 2 * len(picture.data))
    with temporary(path.parent) as copy:
        copy_bytes(path, copy)
        note = put_front_cover(copy, track.container, picture)
        _verify(path, copy, track.container, picture, audio_digest)
        copy_metadata(path, copy, before, preserve_mtime=options.preserve_mtime)
        sync_file(copy)
        if _stamp(path.stat()) != _stamp(before):
            raise WriteError(path, Reason.CHANGED, "it changed while its copy was edited")
        copy.replace(path)
    sync_folder(path.parent)
    return Outcome(path=track.path, status=Status.WRITTEN, reason=Reason.WRITTEN, message=note)


def _check_unchanged(track: Track, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise WriteError(track.path, Reason.NOT_AUDIO, "it is no regular file")
    if (status.st_size, status.st_mtime_ns) != (track.size, track.mtime_ns):
        raise WriteError(
            track.path, Reason.CHANGED, "it is not the file that was scanned", hint="run again"
        )


def _is_front_cover_of(path: Path, container: str, picture: Picture) -> bool:
    """Whether the picture, and no other, is the front cover, and the first of all pictures."""
    found = read_pictures(path, container)
    front_covers = [embedded for embedded in found if embedded.kind == FRONT_COVER]
    return found[:1] == front_covers == [EmbeddedPicture(picture.data, FRONT_COVER)]


def _check_space(path: Path, needed_bytes: int) -> None:
    usage = shutil.disk_usage(path.parent)
    # Some network file systems say nothing of their size.
    if usage.total and usage.free < needed_bytes + _SPACE_BYTES:
        raise WriteError(path, Reason.NO_SPACE, f"{needed_bytes} bytes are needed for a while")


def _verify(
    path: Path,
    copy: Path,
    container: str,
    picture: Picture,
    audio_digest: Callable[[Path], str],
) -> None:
    """Compare the edited copy, read anew, with the original. Raises WriteError, ItemError."""
    tags, audio = remaining(path, container), audio_digest(path)
    try:
        if not _is_front_cover_of(copy, container, picture):
            difference = "the picture does not read back as it was written"
        elif remaining(copy, container) != tags:
            difference = "other tags would have changed"
        elif audio_digest(copy) != audio:
            difference = "the audio would have changed"
        else:
            return
    except ItemError as error:
        difference = f"the edited copy cannot be read: {error.message}"
    raise WriteError(path, Reason.NOT_VERIFIED, difference)


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    """What changes whenever a file does."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
