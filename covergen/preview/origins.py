"""Where the library of each preview is, stored outside the preview, which cannot be trusted."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covergen.core.app_folders import state_folder
from covergen.core.atomic_write import write_whole
from covergen.core.os_errors import write_errors

_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The paths and options that a preview was made with; all paths are absolute.

    `roots` are the folders, with links resolved, that its tracks' paths are relative to.
    """

    paths: tuple[Path, ...]
    roots: tuple[Path, ...]
    options: Mapping[str, Any]


def new_preview_id() -> str:
    """Return a random id that cannot be guessed."""
    return secrets.token_hex(16)


def is_preview_id(text: str) -> bool:
    """Whether `text` has the form of a preview id."""
    return _ID.fullmatch(text) is not None


def remember_origin(preview: str, origin: Origin) -> None:
    """Save a preview's origin. Its options must be JSON values. Raises WriteError."""
    value = {
        "paths": [str(path) for path in origin.paths],
        "roots": [str(root) for root in origin.roots],
        "options": dict(origin.options),
    }
    file = _file(preview)
    with write_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(value).encode())


def recall_origin(preview: str) -> Origin | None:
    """Return a preview's origin, None if this machine does not know it."""
    try:
        value = json.loads(_file(preview).read_bytes())
        return Origin(
            paths=tuple(map(Path, value["paths"])),
            roots=tuple(map(Path, value["roots"])),
            options=dict(value["options"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _file(preview: str) -> Path:
    if not is_preview_id(preview):
        raise ValueError(f"{preview!r} is not a preview id")
    return state_folder() / "previews" / f"{preview}.json"
