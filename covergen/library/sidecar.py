"""The cover as a picture file beside the tracks."""

import os
from contextlib import suppress
from pathlib import Path

from covergen.core.errors import ItemError
from covergen.core.picture import Picture
from covergen.core.reasons import Reason
from covergen.core.types import Outcome, Status
from covergen.library.file_copy import sync_file, sync_folder
from covergen.library.os_errors import write_errors
from covergen.library.temporary import temporary

__all__ = ["write_sidecar"]


def write_sidecar(folder: Path, picture: Picture) -> Outcome:
    """Write `cover.png` or `cover.jpg` into `folder`, whole or not at all.

    A file that already has the name, in capitals or not, is never touched.
    """
    path = folder / f"cover{picture.extension}"
    try:
        with write_errors(path):
            if any(name.casefold() == path.name for name in os.listdir(folder)):
                raise FileExistsError(path)
            _write(path, picture.data)
    except FileExistsError:
        return Outcome(path=path, status=Status.SKIPPED, reason=Reason.SIDECAR_EXISTS)
    except ItemError as error:
        return Outcome.of_error(error)
    sync_folder(folder)
    return Outcome(path=path, status=Status.WRITTEN, reason=Reason.WRITTEN)
