"""Small bases that every test of this room may read, and none may change."""

from pathlib import Path

import pytest

from tests.tiny_base import make_tiny_base


@pytest.fixture(scope="session")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_base(tmp_path_factory.mktemp("sd1"), like="sd1")


@pytest.fixture(scope="session")
def sd2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_base(tmp_path_factory.mktemp("sd2"), like="sd2")
