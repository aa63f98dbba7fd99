"""Names that anybody may have written, kept inside the folder that they are meant for."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

__all__ = ["inside", "is_inner_name"]


def is_inner_name(name: str, flavour: type[PurePath] = PurePath) -> bool:
    """Whether a name with forward slashes can only lead downwards.

    Not "..", not an absolute name, none with a drive letter or NUL, nor what is no name at all.
    """
    try:
        name.encode("utf-8", "surrogateescape")  # as Python hands names to the system
    except UnicodeEncodeError:
        return False
    parts = name.split("/")
    return "\0" not in name and all(
        part not in ("", ".", "..") and flavour(part).name == part for part in parts
    )


def inside(folder: Path, name: str, *, also: Sequence[Path] = ()) -> Path:
    """The file called `name` below `folder`, where it lies there, or below `also`, links followed.

    Nothing need be there. Raises ValueError where the name or a link leads elsewhere.
    """
    if not is_inner_name(name):
        raise ValueError(f"{name!r} is no name of a file below {folder}")
    path = folder.joinpath(*name.split("/"))
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(os.path.realpath(place)) for place in (folder, *also)):
        raise ValueError(f"{path} leads out of {folder}")
    return path
