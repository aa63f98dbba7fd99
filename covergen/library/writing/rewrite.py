"""Copy, edit, verify, replace: the only code in the project that changes a music file.

The original is only read until one atomic rename replaces it with a verified copy. If anything
fails before that, the original is unchanged, byte for byte, and the copy is deleted.
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

from covergen.core.album import Outcome, Status, Track
from covergen.core.atomic_write import sync_file, sync_folder, temporary
from covergen.core.cover_encoding import is_own, shrunk_to_fit
from covergen.core.errors import ItemError, WriteError
from covergen.core.os_errors import check_writable, write_errors
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.library.containers import most_shown_bytes
from covergen.library.formats.embedded_picture import (
    FRONT_COVER,
    EmbeddedPicture,
    PictureFilter,
    is_front_cover,
)
from covergen.library.pictures_in_files import edit_pictures, read_pictures, remaining
from covergen.library.writing.change import Change, Record, Stamp
from covergen.library.writing.copy_with_permissions import copy_bytes, copy_metadata
from covergen.library.writing.exchange import exchange
from covergen.library.writing.fingerprint import fingerprints
from covergen.library.writing.in_use import is_being_written
from covergen.library.writing.reversal import find_reversal

SameSound = Callable[[Path, Path], bool]
"""Whether two files contain the same audio. Raises ItemError for a file without audio."""

SKIPPED = frozenset({Reason.HARD_LINKED, Reason.IN_USE, Reason.TOO_NEW})
"""Reasons to skip a file that could be written. Not failures."""

_SPACE_BYTES = 1 << 20  # for padding and the file system's own needs


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteOptions:
    """How files are replaced.

    `preserve_mtime`: keep the modification time. `hardlinks`: skip files with several hard links,
    or break the links. `min_age_seconds`: skip files that were modified more recently.
    """

    preserve_mtime: bool = False
    hardlinks: Literal["skip", "break"] = "skip"
    min_age_seconds: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edit:
    """The pictures to remove, the new front cover, and the reasons and note to report."""

    should_remove: PictureFilter
    new: Picture | None
    done_reason: Reason
    unchanged_reason: Reason
    note: str = ""

    def is_done(self, found: Sequence[EmbeddedPicture]) -> bool:
        """Whether a file's pictures are already in the desired state, the front cover first."""
        if self.new is None:
            return not any(map(self.should_remove, found))
        front_covers = [picture for picture in found if is_front_cover(picture)]
        return list(found[:1]) == front_covers == [EmbeddedPicture(self.new.data, FRONT_COVER)]


def obstacle(track: Track, options: RewriteOptions) -> Outcome | None:
    """Return why a track cannot be written, as far as is known without trying; None if it can.

    The status is SKIPPED for the reasons in `SKIPPED`, otherwise FAILED.
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
    """Return why to skip a file that could be written, or None. Raises OSError."""
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

    A symbolic link is followed and kept. `record` stores the information needed to undo the write
    first. A picture too large for most players in this container is converted to a smaller JPEG.
    All failures of this file are returned as an Outcome.
    """
    most_bytes = most_shown_bytes(track.container)
    fit = shrunk_to_fit(picture, most_bytes)
    edit = _Edit(
        should_remove=is_front_cover,
        new=fit,
        done_reason=Reason.WRITTEN,
        unchanged_reason=Reason.EQUAL,
        note="" if most_bytes is None or fit is picture else _size_note(fit, most_bytes),
    )
    return _rewritten(track, edit, same_sound, options, record)


def _size_note(picture: Picture, most_bytes: int) -> str:
    size, limit = len(picture.data) >> 10, most_bytes >> 10
    return f"stored as a JPEG of {size} KiB: most players show none above {limit} KiB here"


def remove_own_cover(
    track: Track,
    *,
    same_sound: SameSound,
    options: RewriteOptions,
    record: Record | None = None,
) -> Outcome:
    """Remove the covers that covergen painted from a music file, or leave it exactly as it is.

    Links, `record` and failures are handled as in `write_cover`.
    """
    edit = _Edit(
        should_remove=lambda picture: is_own(picture.data),
        new=None,
        done_reason=Reason.STRIPPED,
        unchanged_reason=Reason.NOT_OWN,
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
        return Outcome(path=track.path, status=Status.UNCHANGED, reason=edit.unchanged_reason)
    if reason := reason_to_skip(path, before, options):
        return Outcome(path=track.path, status=Status.SKIPPED, reason=reason)
    check_room(path, before.st_size + 2 * len(edit.new.data if edit.new else b""))
    with temporary(path.parent) as copy:
        copy_bytes(path, copy)
        note = edit_pictures(copy, track.container, edit.should_remove, edit.new)
        _verify(path, copy, track.container, edit, same_sound)
        mtime_ns = before.st_mtime_ns if options.preserve_mtime else None
        copy_metadata(path, copy, before, mtime_ns=mtime_ns)
        sync_file(copy)
        removed = [picture.data for picture in found if edit.should_remove(picture)]
        with record(_change(path, copy, track.container, removed)) if record else nullcontext():
            put_in_place(copy, path, before)
    message = "; ".join(filter(None, (edit.note, note)))
    return Outcome(path=track.path, status=Status.WRITTEN, reason=edit.done_reason, message=message)


def _check_unchanged(track: Track, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise WriteError(track.path, Reason.NOT_AUDIO, "not a regular file")
    if (status.st_size, status.st_mtime_ns) != (track.size, track.mtime_ns):
        raise WriteError(
            track.path, Reason.CHANGED, "it changed since it was scanned", hint="run again"
        )
    if not status.st_size:
        raise WriteError(track.path, Reason.NOT_AUDIO, "the file is empty")


def check_room(path: Path, needed_bytes: int) -> None:
    """Raise PermissionError or WriteError if the file cannot be replaced with a copy."""
    check_writable(path, "the file")
    check_writable(path.parent, "its folder")
    usage = shutil.disk_usage(path.parent)
    # Some network file systems do not report their size.
    if usage.total and usage.free < needed_bytes + _SPACE_BYTES:
        raise WriteError(path, Reason.NO_SPACE, f"{needed_bytes} bytes are needed temporarily")


def _verify(path: Path, copy: Path, container: str, edit: _Edit, same_sound: SameSound) -> None:
    """Read the edited copy and compare it with the original. Raises WriteError, ItemError."""
    tags = remaining(path, container, edit.should_remove, prefilled=edit.new is not None)
    try:
        if not edit.is_done(read_pictures(copy, container)):
            difference = "its pictures do not read back as written"
        elif remaining(copy, container, edit.should_remove) != tags:
            difference = "other tags would have changed"
        elif not same_sound(path, copy):
            difference = "the audio would have changed"
        else:
            return
    except ItemError as error:
        if error.path == path:
            raise
        difference = f"cannot read the edited copy: {error.message}"
    raise WriteError(path, Reason.NOT_VERIFIED, difference)


def _change(path: Path, copy: Path, container: str, removed: Sequence[bytes]) -> Change:
    """Describe the replacement of a file with its finished copy. Raises WriteError, OSError."""
    reversal = find_reversal(path, copy)
    if reversal is None:
        raise WriteError(
            path,
            Reason.IRREVERSIBLE,
            "the data needed for undo is too large to store",
            hint="use --no-journal to write anyway",
        )
    before, after = fingerprints(path, copy, reversal)
    pictures = (picture for picture in removed if picture in reversal.middle)
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
    """Replace a file with its finished copy.

    `before` is the file's status when it was read. Raises WriteError if the file changed since
    then, and OSError; the file at `path` then stays.
    """
    changed = WriteError(path, Reason.CHANGED, "it changed while covergen was writing")
    if _stamp(path.lstat()) != _stamp(before):
        raise changed
    if not exchange(copy, path):
        copy.replace(path)
    elif _has_changed(copy, before):
        exchange(copy, path)  # another program wrote to it at the last moment: keep that
        raise changed
    elif _is_open(copy):
        exchange(copy, path)  # another program will still write to it
        raise WriteError(path, Reason.IN_USE, "another program opened it for writing")
    sync_folder(path.parent)


def _is_open(path: Path) -> bool:
    """Whether another program has a file open for writing; False if unknown."""
    try:
        return is_being_written(path)
    except OSError:
        return False


def _has_changed(path: Path, before: os.stat_result) -> bool:
    """Whether a file, possibly renamed, has other content; False if unknown."""
    try:
        return _content_stamp(path.lstat()) != _content_stamp(before)
    except OSError:
        return False


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    """A value that changes whenever the file does."""
    return (*_content_stamp(status), status.st_ctime_ns)


def _content_stamp(status: os.stat_result) -> tuple[int, ...]:
    """A value that changes with a file's content, but not with its name."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
