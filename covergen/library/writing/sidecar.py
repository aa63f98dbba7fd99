"""Cover files next to the tracks."""

import os
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

from covergen.core.album import Outcome
from covergen.core.atomic_write import sync_file, sync_folder, temporary
from covergen.core.cover_encoding import is_own
from covergen.core.errors import ItemError
from covergen.core.os_errors import check_writable, write_errors
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.library.writing.change import NOTHING, Change, Record, Stamp, bytes_hash
from covergen.library.writing.reversal import Reversal

_EXTENSIONS = (".png", ".jpg")


def write_sidecar(
    folder: Path, picture: Picture, *, name: str = "cover", record: Record | None = None
) -> Outcome:
    """Write `cover.png` or `cover.jpg`, or a file of another `name`, into `folder` atomically.

    An existing file of that name, ignoring case, is never touched. `record` stores the information
    needed to undo the write first.
    """
    path = folder / f"{name}{picture.extension}"
    try:
        with write_errors(path):
            created = create_file(path, picture.data, record=record)
    except ItemError as error:
        return Outcome.of_error(error)
    if not created:
        return Outcome.skipped(path, Reason.SIDECAR_EXISTS)
    return Outcome.written(path, Reason.WRITTEN)


def sidecar_obstacle(path: Path) -> Outcome | None:
    """Return why a cover file that does not exist cannot be written, as far as is known."""
    try:
        with write_errors(path):
            if not _is_taken(path):
                check_writable(path.parent, "the folder")
    except ItemError as error:
        return Outcome.of_error(error)
    return None


def own_sidecars(folder: Path, names: Iterable[str] = ("cover",)) -> list[Path]:
    """Return the files of these names in `folder` that `write_sidecar` wrote, without links."""
    paths = [folder / f"{name}{extension}" for name in names for extension in _EXTENSIONS]
    return [path for path in paths if is_own_file(path, links=False)]


def is_own_file(path: Path, *, links: bool = True) -> bool:
    """Whether a file is a picture whose metadata names covergen as its creator."""
    try:
        if not path.is_file() or (path.is_symlink() and not links):  # reading a pipe would block
            return False
        with path.open("rb") as file:
            return is_own(file.read(4096))
    except OSError:
        return False


def remove_sidecar(path: Path, *, record: Record | None = None) -> Outcome:
    """Delete one of `own_sidecars`. All failures are returned as an Outcome.

    `record` stores the information needed to undo it first.
    """
    try:
        with write_errors(path):
            check_writable(path.parent, "the folder")
            with record(_removal(path)) if record else nullcontext():
                path.unlink()
            sync_folder(path.parent)
    except ItemError as error:
        return Outcome.of_error(error)
    return Outcome.written(path, Reason.STRIPPED)


def create_file(
    path: Path, data: bytes, *, mtime_ns: int | None = None, record: Record | None = None
) -> bool:
    """Create a picture file atomically, with `mtime_ns` if given. Raises OSError.

    Returns False if a file of that name, ignoring case, exists.
    """
    folder = path.parent
    if _is_taken(path):
        return False
    check_writable(folder, "the folder")
    with temporary(folder, mode=0o666) as whole:
        whole.write_bytes(data)
        if mtime_ns is not None:
            os.utime(whole, ns=(mtime_ns, mtime_ns))
        sync_file(whole)
        try:
            with record(_addition(path, whole, data)) if record else nullcontext():
                _give_name(whole, path)
        except FileExistsError:
            return False
    sync_folder(folder)
    return True


def _is_taken(path: Path) -> bool:
    return any(entry.name.casefold() == path.name for entry in path.parent.iterdir())


def _addition(path: Path, whole: Path, data: bytes) -> Change:
    real, stamp = Path(os.path.realpath(path)), Stamp.of(whole.stat())
    return Change(path=real, before=NOTHING, after=bytes_hash(data), stamp_after=stamp)


def _removal(path: Path) -> Change:
    data = path.read_bytes()
    return Change(
        path=Path(os.path.realpath(path)),
        before=bytes_hash(data),
        after=NOTHING,
        stamp_before=Stamp.of(path.stat()),
        reversal=Reversal(head=0, tail=0, middle=data),
        picture=data,
    )


def _give_name(whole: Path, path: Path) -> None:
    """Link the finished file to `path`. Raises FileExistsError if something is there by now."""
    try:
        path.hardlink_to(whole)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        _replace_placeholder(whole, path)


def _replace_placeholder(whole: Path, path: Path) -> None:
    path.touch(exist_ok=False)
    try:
        whole.replace(path)
    except BaseException:
        path.unlink()
        raise
