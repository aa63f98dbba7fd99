"""Parse the source of a model part: a path, a path in the package, or a Hub name."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

PACKAGE_PREFIX = "package:"
PROCEDURAL = "procedural"
"""The `base` of models that draw procedurally, without diffusion."""

_PACKAGE_FOLDER = Path(__file__).parent.parent
PAINTER_FOLDER = _PACKAGE_FOLDER / "starter" / "painter"
_HUB_NAME = re.compile(r"(?P<repo_id>[A-Za-z0-9][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")

# Renamed repositories; their files are the same.
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
        """The URL of the repository on the Hub, or on the mirror given by HF_ENDPOINT."""
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{self.repo_id}"

    @property
    def former_ids(self) -> list[str]:
        """Earlier names of the repository, under which it may still be cached."""
        return [old for old, new in _MOVED.items() if new == self.repo_id]


def parse_source(source: str) -> Path | HubName:
    """Parse `source` as a local path, which need not exist, or a Hub name.

    `package:PATH` is relative to the covergen package. Otherwise, an existing path takes
    precedence over a Hub name (`owner/name` or `owner/name@revision`); anything else is a path.
    """
    if source.startswith(PACKAGE_PREFIX):
        return _PACKAGE_FOLDER / source.removeprefix(PACKAGE_PREFIX)
    path = _expanded(source)
    name = _hub_name(source)
    return path if name is None or _exists(path) else name


def anchored(source: str, folder: Path) -> str:
    """Make `source` absolute if it is a path.

    Relative paths are resolved against `folder`, the folder of the settings file.
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
    return Path(os.path.expanduser(source))  # noqa: PTH111 - Path.expanduser raises for "~unknown"


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for an unreadable folder
