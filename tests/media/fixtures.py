"""The library as pytest fixtures: made once per session and copied for tests that write."""

from pathlib import Path

import pytest

from tests.media.library import Library, make_library

__all__ = ["library", "shared_library"]


@pytest.fixture(scope="session")
def shared_library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The session's library, for tests that only read it."""
    return make_library(tmp_path_factory.mktemp("shared") / "library")


@pytest.fixture
def library(shared_library: Library, tmp_path: Path) -> Library:
    """A copy of the library that a test may change."""
    return shared_library.copy_to(tmp_path / "library")
