"""Where the library of each preview lies: covergen's own memory, which no preview can alter."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covergen.core.files import write_whole
from covergen.core.os_errors import write_errors
from covergen.core.paths import state_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Origin", "is_preview_id", "new_preview_id", "recall_origin", "remember_origin"]

_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a preview was made of: the paths and options of the command, all paths absolute.

    `roots` are the real folders that the names of its tracks begin at.
    """

    paths: tuple[Path, ...]
    roots: tuple[Path, ...]
    options: Mapping[str, Any]


def new_preview_id() -> str:
    """A name that nobody can guess."""
    return secrets.token_hex(16)


def is_preview_id(text: str) -> bool:
    """Whether a preview can have this name."""
    return _ID.fullmatch(text) is not None


def remember_origin(preview: str, origin: Origin) -> None:
    """Keep what a preview was made of. The options are values of JSON. Raises WriteError."""
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
    """What a preview was made of; None where that is not known on this machine."""
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
        raise ValueError(f"{preview!r} is no preview's name")
    return state_folder() / "previews" / f"{preview}.json"
