"""Copy, edit, verify, replace: the only code in the project that changes a music file.

The original is only ever read until one atomic rename puts a verified copy in its place. Whatever
goes wrong before that, the original is as it was, byte for byte, and the copy is gone.
"""

import os
import shutil
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from covergen.core.errors import ItemError, WriteError
from covergen.core.os_errors import check_writable, write_errors
from covergen.core.picture import MOST_SHOWN_BYTES, Picture, fitted, is_own
from covergen.core.reasons import Reason
from covergen.core.temporary import remove_stale, temporary
from covergen.core.types import Outcome, Status, Track
from covergen.library.pictures import (
    FRONT_COVER,
    EmbeddedPicture,
    Gone,
    edit_pictures,
    is_front_cover,
    read_pictures,
    remaining,
)
from covergen.library.writing.change import Change, Record, Stamp
from covergen.library.writing.exchange import exchange
from covergen.library.writing.file_copy import copy_bytes, copy_metadata, sync_file, sync_folder
from covergen.library.writing.fingerprint import fingerprints
from covergen.library.writing.in_use import is_being_written
from covergen.library.writing.reversal import find_reversal

__all__ = [
    "SKIPPED",
    "RewriteOptions",
    "SameSound",
    "check_room",
    "obstacle",
    "put_in_place",
    "reason_to_skip",
    "remove_own_cover",
    "remove_stale",
    "write_cover",
]

SameSound = Callable[[Path, Path], bool]
"""Whether two files hold the same sound; raises ItemError of the one that holds none."""

SKIPPED = frozenset({Reason.HARD_LINKED, Reason.IN_USE, Reason.TOO_NEW})
"""Why a file is left alone that could be written: no failure."""

_SPACE_BYTES = 1 << 20  # for padding and the file system's own needs


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteOptions:
    """How files are replaced.

    `preserve_mtime`: the new file has the old one's modification time. `hardlinks`: a file with
    several names is left alone, or parted from its other names. `min_age_seconds`: a file that was
    modified later is left alone.
    """

    preserve_mtime: bool = False
    hardlinks: Literal["skip", "break"] = "skip"
    min_age_seconds: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edit:
    """The pictures that go, the one that becomes the front cover, and what is said of it."""

    gone: Gone
    new: Picture | None
    done: Reason
    nothing: Reason
    note: str = ""

    def is_done(self, found: Sequence[EmbeddedPicture]) -> bool:
        """Whether a file's pictures are as they should be: a front cover before all others."""
        if self.new is None:
            return not any(map(self.gone, found))
        front_covers = [picture for picture in found if is_front_cover(picture)]
        return list(found[:1]) == front_covers == [EmbeddedPicture(self.new.data, FRONT_COVER)]


def obstacle(track: Track, options: RewriteOptions) -> Outcome | None:
    """What becomes of a track that cannot be written, as far as can be told without trying.

    SKIPPED for one of those reasons, else FAILED; None if nothing is in the way.
    """
    try:
        real = Path(os.path.realpath(track.path, strict=True))
        if reason := reason_to_skip(real, real.stat(), options):
            return Outcome(path=track.path, status=Status.SKIPPED, reason=reason)
        check_room(real, track.size)
    except OSError:
        return Outcome(path=track.path, status=Status.FAILED, reason=Reason.READ_ONLY)
    except WriteError as error:
        return replace(Outcome.of_error(error), path=track.path)
    if track.fault:
        return Outcome(
            path=track.path, status=Status.FAILED, reason=Reason.UNREADABLE, message=track.fault
        )
    return None


def reason_to_skip(path: Path, status: os.stat_result, options: RewriteOptions) -> Reason | None:
    """Why a file is left alone that could be written. Raises OSError."""
    if status.st_nlink > 1 and options.hardlinks == "skip":
        return Reason.HARD_LINKED
    if options.min_age_seconds and time.time() - status.st_mtime < options.min_age_seconds:
        return Reason.TOO_NEW
    return Reason.IN_USE if is_being_written(path) else None


def write_cover(
    track: Track,
    picture: Picture,
    *,
    same_sound: SameSound,
    options: RewriteOptions,
    record: Record | None = None,
) -> Outcome:
    """Make `picture` the front cover of a music file, or leave the file exactly as it is.

    A symbolic link stays, and the file that it leads to is written. With `record`, what takes the
    write back is kept first. A picture that most players would not show in this container becomes a
    JPEG that they do. Every failure of this file comes back as an Outcome.
    """
    fit = fitted(picture, track.container)
    edit = _Edit(
        gone=is_front_cover,
        new=fit,
        done=Reason.WRITTEN,
        nothing=Reason.EQUAL,
        note="" if fit is picture else _size_note(fit, track.container),
    )
    return _rewritten(track, edit, same_sound, options, record)


def _size_note(picture: Picture, container: str) -> str:
    most = MOST_SHOWN_BYTES[container] >> 10
    return f"a JPEG of {len(picture.data) >> 10} KiB: most players show none above {most} KiB here"


def remove_own_cover(
    track: Track,
    *,
    same_sound: SameSound,
    options: RewriteOptions,
    record: Record | None = None,
) -> Outcome:
    """Take the covers that covergen painted out of a music file, or leave it exactly as it is.

    As `write_cover`.
    """
    edit = _Edit(
        gone=lambda picture: is_own(picture.data),
        new=None,
        done=Reason.STRIPPED,
        nothing=Reason.NOT_OWN,
    )
    return _rewritten(track, edit, same_sound, options, record)


def _rewritten(
    track: Track,
    edit: _Edit,
    same_sound: SameSound,
    options: RewriteOptions,
    record: Record | None,
) -> Outcome:
    try:
        with write_errors(track.path):
            return _rewrite(track, edit, same_sound, options, record)
    except ItemError as error:
        outcome = replace(Outcome.of_error(error), path=track.path)
        return replace(outcome, status=Status.SKIPPED) if error.reason in SKIPPED else outcome


def _rewrite(
    track: Track,
    edit: _Edit,
    same_sound: SameSound,
    options: RewriteOptions,
    record: Record | None,
) -> Outcome:
    path = Path(os.path.realpath(track.path, strict=True))
    before = path.stat()
    _check_unchanged(track, before)
    found = read_pictures(path, track.container)
    if edit.is_done(found):
        return Outcome(path=track.path, status=Status.UNCHANGED, reason=edit.nothing)
    if reason := reason_to_skip(path, before, options):
        return Outcome(path=track.path, status=Status.SKIPPED, reason=reason)
    check_room(path, before.st_size + 2 * len(edit.new.data if edit.new else b""))
    with temporary(path.parent) as copy:
        copy_bytes(path, copy)
        note = edit_pictures(copy, track.container, edit.gone, edit.new)
        _verify(path, copy, track.container, edit, same_sound)
        mtime_ns = before.st_mtime_ns if options.preserve_mtime else None
        copy_metadata(path, copy, before, mtime_ns=mtime_ns)
        sync_file(copy)
        gone = [picture.data for picture in found if edit.gone(picture)]
        with record(_change(path, copy, track.container, gone)) if record else nullcontext():
            put_in_place(copy, path, before)
    message = "; ".join(filter(None, (edit.note, note)))
    return Outcome(path=track.path, status=Status.WRITTEN, reason=edit.done, message=message)


def _check_unchanged(track: Track, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise WriteError(track.path, Reason.NOT_AUDIO, "it is no regular file")
    if (status.st_size, status.st_mtime_ns) != (track.size, track.mtime_ns):
        raise WriteError(
            track.path, Reason.CHANGED, "it is not the file that was scanned", hint="run again"
        )
    if not status.st_size:
        raise WriteError(track.path, Reason.NOT_AUDIO, "it is an empty file")


def check_room(path: Path, needed_bytes: int) -> None:
    """Raise PermissionError or WriteError where a file cannot have a copy take its place."""
    check_writable(path, "the file")
    check_writable(path.parent, "its folder")
    usage = shutil.disk_usage(path.parent)
    # Some network file systems say nothing of their size.
    if usage.total and usage.free < needed_bytes + _SPACE_BYTES:
        raise WriteError(path, Reason.NO_SPACE, f"{needed_bytes} bytes are needed for a while")


def _verify(path: Path, copy: Path, container: str, edit: _Edit, same_sound: SameSound) -> None:
    """Compare the edited copy, read anew, with the original. Raises WriteError, ItemError."""
    tags = remaining(path, container, edit.gone, begun=edit.new is not None)
    try:
        if not edit.is_done(read_pictures(copy, container)):
            difference = "its pictures do not read back as they should be"
        elif remaining(copy, container, edit.gone) != tags:
            difference = "other tags would have changed"
        elif not same_sound(path, copy):
            difference = "the audio would have changed"
        else:
            return
    except ItemError as error:
        if error.path == path:
            raise
        difference = f"the edited copy cannot be read: {error.message}"
    raise WriteError(path, Reason.NOT_VERIFIED, difference)


def _change(path: Path, copy: Path, container: str, gone: Sequence[bytes]) -> Change:
    """What replacing a file by its finished copy changes. Raises WriteError, OSError."""
    reversal = find_reversal(path, copy)
    if reversal is None:
        raise WriteError(
            path,
            Reason.IRREVERSIBLE,
            "what is to be replaced is too large to be kept",
            hint="--no-journal writes nevertheless",
        )
    before, after = fingerprints(path, copy, reversal)
    pictures = (picture for picture in gone if picture in reversal.middle)
    return Change(
        path=path,
        container=container,
        before=before,
        after=after,
        stamp_before=Stamp.of(path.stat()),
        stamp_after=Stamp.of(copy.stat()),
        reversal=reversal,
        picture=max(pictures, key=len, default=b""),
    )


def put_in_place(copy: Path, path: Path, before: os.stat_result) -> None:
    """Let a finished copy take the place of the file that it was made from.

    `before` is that file's status when it was read. Raises WriteError where it changed since then,
    and OSError; then whatever is there by now stays.
    """
    changed = WriteError(path, Reason.CHANGED, "it changed while its copy was edited")
    if _stamp(path.lstat()) != _stamp(before):
        raise changed
    if not exchange(copy, path):
        copy.replace(path)
    elif _has_changed(copy, before):
        exchange(copy, path)  # somebody was faster by an instant, and nothing of theirs is lost
        raise changed
    elif _is_open(copy):
        exchange(copy, path)  # what they are still to write goes into the file that they opened
        raise WriteError(path, Reason.IN_USE, "it was opened for writing while its copy was edited")
    sync_folder(path.parent)


def _is_open(path: Path) -> bool:
    """Whether somebody has a file open to write; not if nobody can say."""
    try:
        return is_being_written(path)
    except OSError:
        return False


def _has_changed(path: Path, before: os.stat_result) -> bool:
    """Whether a file, under another name by now, holds something else; not if nobody can say."""
    try:
        return _content_stamp(path.lstat()) != _content_stamp(before)
    except OSError:
        return False


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    """What changes whenever a file does."""
    return (*_content_stamp(status), status.st_ctime_ns)


def _content_stamp(status: os.stat_result) -> tuple[int, ...]:
    """What changes whenever a file's content does, and not with its name."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
