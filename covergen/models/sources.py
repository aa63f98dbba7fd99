"""Where a part of a model is, from the text that a user or a models.toml names it with."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PACKAGE_PREFIX", "PAINTER_FOLDER", "PROCEDURAL", "HubName", "anchored", "parse_source"]

PACKAGE_PREFIX = "package:"
PROCEDURAL = "procedural"
"""The base of models that draw by rules, without diffusion."""

_PACKAGE_FOLDER = Path(__file__).parent.parent
PAINTER_FOLDER = _PACKAGE_FOLDER / "starter" / "painter"
_HUB_NAME = re.compile(r"(?P<repo_id>[A-Za-z0-9][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")

# Repositories that moved; the files are the same under both names.
_MOVED = {"runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5"}


@dataclass(frozen=True, slots=True)
class HubName:
    """A repository on the Hugging Face Hub, under its current name."""

    repo_id: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.repo_id}@{self.revision}" if self.revision else self.repo_id

    @property
    def page(self) -> str:
        """The address of its page on the Hub, or on the mirror that HF_ENDPOINT names."""
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{self.repo_id}"

    @property
    def former_ids(self) -> list[str]:
        """Names that this repository had before, under which a cache may still hold it."""
        return [old for old, new in _MOVED.items() if new == self.repo_id]


def parse_source(source: str) -> Path | HubName:
    """Tell what `source` means: a place on this disk, which need not exist, or a name on the Hub.

    `package:PATH` lies in the package itself. Otherwise what exists on the disk wins; then
    `owner/name` and `owner/name@revision` are the Hub's, and all else is a path.
    """
    if source.startswith(PACKAGE_PREFIX):
        return _PACKAGE_FOLDER / source.removeprefix(PACKAGE_PREFIX)
    path = _expanded(source)
    name = _hub_name(source)
    return path if name is None or _exists(path) else name


def anchored(source: str, folder: Path) -> str:
    """Give `source`, where it is a relative path or begins with `~`, as an absolute path.

    `folder` is that of the settings file in which it stands.
    """
    if source == PROCEDURAL or source.startswith(PACKAGE_PREFIX):
        return source
    path = folder / _expanded(source)
    return source if _hub_name(source) and not _exists(path) else str(path)


def _hub_name(source: str) -> HubName | None:
    found = _HUB_NAME.fullmatch(source)
    if found is None or source.endswith(".safetensors"):
        return None
    repo_id = found["repo_id"]
    return HubName(_MOVED.get(repo_id, repo_id), found["revision"])


def _expanded(source: str) -> Path:
    return Path(os.path.expanduser(source))  # noqa: PTH111 - Path's own raises for "~stranger"


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path's own raises where a folder is locked
