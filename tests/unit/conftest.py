"""Small bases that unit tests may read but not change."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny_base import make_tiny_base  # imports torch

    return make_tiny_base(tmp_path_factory.mktemp("sd1"), like="sd1")


@pytest.fixture(scope="session")
def sd2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny_base import make_tiny_base

    return make_tiny_base(tmp_path_factory.mktemp("sd2"), like="sd2")
