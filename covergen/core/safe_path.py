"""Untrusted file names, confined to a folder."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePath


def is_inner_name(name: str, flavor: type[PurePath] = PurePath) -> bool:
    """Whether a name with forward slashes can only lead into sub-folders.

    False for "..", absolute names, names with a drive letter or NUL, and invalid names.
    """
    try:
        name.encode("utf-8", "surrogateescape")  # as Python passes names to the system
    except UnicodeEncodeError:
        return False
    parts = name.split("/")
    return "\0" not in name and all(
        part not in ("", ".", "..") and flavor(part).name == part for part in parts
    )


def inside(folder: Path, name: str, *, also: Sequence[Path] = ()) -> Path:
    """Return the path of `name` in `folder`.

    Links are resolved, and must lead to a place in `folder` or one of `also`. The file need not
    exist. Raises ValueError if the name or a link leads elsewhere.
    """
    if not is_inner_name(name):
        raise ValueError(f"{name!r} is not a valid file name in {folder}")
    path = folder.joinpath(*name.split("/"))
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(os.path.realpath(place)) for place in (folder, *also)):
        raise ValueError(f"{path} leads out of {folder}")
    return path
