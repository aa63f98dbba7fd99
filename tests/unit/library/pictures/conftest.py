"""Songs that are encoded once and copied for each test."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.media import EXTENSION, encode, put_tags

Make = Callable[..., Path]


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A short untagged song of each container."""
    folder = tmp_path_factory.mktemp("originals")

    def original(container: str) -> Path:
        path = folder / f"song{EXTENSION[container]}"
        return path if path.exists() else encode(path, container, seconds=0.5)

    return original


@pytest.fixture
def make(tmp_path: Path, originals: Callable[[str], Path]) -> Make:
    """Copy a song into the test's folder: `make(container, tags=…, name=…)`."""

    def made(container: str, *, tags: Mapping[str, str] | None = None, name: str = "song") -> Path:
        path = tmp_path / f"{name}{EXTENSION[container]}"
        shutil.copyfile(originals(container), path)
        if tags:
            put_tags(path, container, tags)
        return path

    return made
