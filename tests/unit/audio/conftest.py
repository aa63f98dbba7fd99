from pathlib import Path

import pytest

from tests.tiny_clap import make_tiny_clap


@pytest.fixture(scope="session")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small CLAP model; tests that change it copy it first."""
    return make_tiny_clap(tmp_path_factory.mktemp("clap"), projection_dim=48)
