"""The cover as a picture file beside the tracks."""

from pathlib import Path

from covergen.core.errors import ItemError
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.core.types import Outcome, Status
from covergen.library.file_copy import sync_file, sync_folder
from covergen.library.os_errors import check_writable, write_errors
from covergen.library.temporary import temporary

__all__ = ["write_sidecar"]


def write_sidecar(folder: Path, picture: Picture) -> Outcome:
    """Write `cover.png` or `cover.jpg` into `folder`, whole or not at all.

    A file that already has the name, in capitals or not, is never touched.
    """
    path = folder / f"cover{picture.extension}"
    try:
        with write_errors(path):
            created = _create(path, picture.data)
    except ItemError as error:
        return Outcome.of_error(error)
    if not created:
        return Outcome(path=path, status=Status.SKIPPED, reason=Reason.SIDECAR_EXISTS)
    return Outcome(path=path, status=Status.WRITTEN, reason=Reason.WRITTEN)


def _create(path: Path, data: bytes) -> bool:
    """Whether the file was created; it was not if there is one of this name."""
    folder = path.parent
    if any(entry.name.casefold() == path.name for entry in folder.iterdir()):
        return False
    check_writable(folder, "the folder")
    with temporary(folder, mode=0o666) as whole:
        whole.write_bytes(data)
        sync_file(whole)
        created = _give_name(whole, path)
    sync_folder(folder)
    return created


def _give_name(whole: Path, path: Path) -> bool:
    """Let `path` be the finished file's name, unless there is such a file by now."""
    try:
        path.hardlink_to(whole)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        return _replace_placeholder(whole, path)
    return True


def _replace_placeholder(whole: Path, path: Path) -> bool:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    try:
        whole.replace(path)
    except BaseException:
        path.unlink()
        raise
    return True
