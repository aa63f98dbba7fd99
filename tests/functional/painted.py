"""A library in which covergen has painted, made once a session."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.home import run_at_home
from tests.media import Library, picture_bytes, put_picture

if TYPE_CHECKING:
    from pathlib import Path

    from tests.functional.conftest import TinyModel

__all__ = ["BACK", "Painted", "painted", "painted_home", "painted_once"]

BACK = picture_bytes("png", 24, (1, 2, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Painted:
    """The library, and covergen's own files after the runs that painted in it."""

    library: Library
    home: Path


@pytest.fixture(scope="session")
def painted_once(
    shared_library: Library, tiny_model: TinyModel, tmp_path_factory: pytest.TempPathFactory
) -> Painted:
    folder = tmp_path_factory.mktemp("painted")
    library = shared_library.copy_to(folder / "library")
    for container, path in library.every_container.items():
        if container != "mp4":  # whose pictures have no type
            put_picture(path, container, BACK, kind=4)
    home = folder / "home"
    models = home / "config/covergen/models.toml"
    models.parent.mkdir(parents=True)
    models.write_text(tiny_model.preset())
    every = next(iter(library.every_container.values())).parent
    settings = ("--seed", 7, "--steps", 3, "--windows", 2, "--scheduler", "ddim")
    encoding = ("--format", "jpeg", "--jpeg-quality", 37, "--size", 64)
    for options in (
        ("--force", every),
        ("--sidecar", library.root / "Two Discs"),
        ("--per", "track", "--batch-size", 1, library.root / "Sampler"),
        (*settings, *encoding, "--batch-size", 1, library.root / "Two Editions"),
    ):
        run_at_home(home, "tag", "-m", "tiny", *options)
    return Painted(library=library, home=home)


@pytest.fixture
def painted(painted_once: Painted, tmp_path: Path) -> Library:
    """A copy of the library that a test may do with as it likes."""
    return painted_once.library.copy_to(tmp_path / "library")


@pytest.fixture
def painted_home(painted_once: Painted, home: Path) -> Library:
    """The library itself, for tests that only read, with covergen's own files of that time."""
    for name in ("cache", "state"):
        shutil.copytree(painted_once.home / name, home / name)
    return painted_once.library
