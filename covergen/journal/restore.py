"""Undo a recorded write, byte for byte."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from covergen.core.album import Outcome, Status
from covergen.core.atomic_write import sync_file, sync_folder, temporary
from covergen.core.errors import ItemError, WriteError
from covergen.core.os_errors import check_writable, write_errors
from covergen.core.reasons import Reason
from covergen.journal.schema import WriteState
from covergen.library.writing.change import NOTHING, Stamp
from covergen.library.writing.copy_with_permissions import copy_bytes, copy_metadata
from covergen.library.writing.fingerprint import has_fingerprint
from covergen.library.writing.rewrite import check_room, put_in_place, reason_to_skip
from covergen.library.writing.sidecar import create_file

if TYPE_CHECKING:
    from covergen.journal.journal import Journal
    from covergen.journal.schema import Write
    from covergen.library.writing.reversal import Reversal
    from covergen.library.writing.rewrite import RewriteOptions


def take_back(
    write: Write, journal: Journal, options: RewriteOptions, *, dry_run: bool = False
) -> Outcome:
    """Restore a file as it was before a write, byte for byte, or leave it untouched.

    Returns UNCHANGED for a file that is already restored; failures of this file are Outcomes too.
    A dry run writes nothing, and identifies a file by its size and time only. Raises JournalError.
    """
    try:
        with write_errors(write.path):
            return _take_back(write, journal, options, dry_run=dry_run)
    except ItemError as error:
        return Outcome.of_error(error)


def settle_planned(journal: Journal, places: Iterable[Path]) -> None:
    """Settle planned writes at or below `places`: the files show whether they were done.

    The caller must hold the lock of `places`. Raises JournalError.
    """
    for write in journal.planned():
        if any(write.path.is_relative_to(place) for place in places):
            try:
                if _is(write.path, write.after):
                    journal.settle(write, state=WriteState.DONE)
                elif _is(write.path, write.before):
                    journal.settle(write, state=None)
            except (OSError, WriteError):
                continue  # not accessible now: try again in a later run


def _take_back(
    write: Write, journal: Journal, options: RewriteOptions, *, dry_run: bool
) -> Outcome:
    path = write.path
    before = _status(path)
    known = dry_run and before is not None and Stamp.of(before) == write.stamp_after
    if not (known or _is(path, write.after)):
        if _is(path, write.before):
            return Outcome(path=path, status=Status.UNCHANGED, reason=Reason.UNDONE)
        raise _changed(write, journal)
    if before and (reason := reason_to_skip(path, before, options)):
        return Outcome.skipped(path, reason)
    reversal = _reversal(write, journal) if write.before != NOTHING else None
    if write.container:
        check_room(path, write.stamp_after.size + write.stamp_before.size)
    else:
        check_writable(path.parent, "its folder")
    if not dry_run:
        _restore(write, before, reversal)
    return Outcome.written(path, Reason.UNDONE)


def _restore(write: Write, before: os.stat_result | None, reversal: Reversal | None) -> None:
    if reversal is None:
        write.path.unlink()
        sync_folder(write.path.parent)
    elif before is None:
        mtime_ns = write.stamp_before.mtime_ns
        if not create_file(write.path, reversal.middle, mtime_ns=mtime_ns):
            raise WriteError(write.path, Reason.CHANGED, "another file exists there now")
    else:
        _rewrite(write, before, reversal)


def _status(path: Path) -> os.stat_result | None:
    """Return the status, None if the file is missing. Raises WriteError if it is not regular."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        if path.parent.is_dir():
            return None
        message = "its folder does not exist"  # perhaps the disk is offline
        hint = "if it has moved, run covergen strip on its new place to remove covers"
        raise WriteError(path, Reason.GONE, message, hint=hint) from None
    if not stat.S_ISREG(status.st_mode):
        raise WriteError(path, Reason.CHANGED, "it is no longer a regular file")
    return status


def _is(path: Path, fingerprint: str) -> bool:
    """Whether the file has this fingerprint. Raises OSError, and as `_status`."""
    return fingerprint == NOTHING if _status(path) is None else has_fingerprint(path, fingerprint)


def _changed(write: Write, journal: Journal) -> WriteError:
    if _status(write.path) is None:
        hint = "if it has moved, run covergen strip on its new place to remove its cover"
        return WriteError(write.path, Reason.GONE, "it no longer exists", hint=hint)
    for later in journal.history(write.path):
        if later.id > write.id and has_fingerprint(write.path, later.after):
            message = f"run {later.run} has written to it since"
            hint = f"undo that first: covergen undo {later.run}"
            return WriteError(write.path, Reason.CHANGED, message, hint=hint)
    message = "another program has changed it since"
    hint = "--force removes covergen's cover from it as it is now"
    return WriteError(write.path, Reason.CHANGED, message, hint=hint)


def _reversal(write: Write, journal: Journal) -> Reversal:
    try:
        reversal = journal.reversal(write)
        message = "the data to undo this has been pruned from the journal"
    except ValueError as error:
        reversal, message = None, str(error)
    if reversal is None:
        hint = "--force removes covergen's cover"
        raise WriteError(write.path, Reason.IRREVERSIBLE, message, hint=hint)
    return reversal


def _rewrite(write: Write, before: os.stat_result, reversal: Reversal) -> None:
    path = write.path
    with temporary(path.parent) as copy:
        copy_bytes(path, copy)
        reversal.apply(copy)
        if not has_fingerprint(copy, write.before):
            raise WriteError(
                path, Reason.NOT_VERIFIED, "the restored file would not match the original"
            )
        copy_metadata(path, copy, before, mtime_ns=write.stamp_before.mtime_ns)
        sync_file(copy)
        put_in_place(copy, path, before)
