"""The wheel, built once a session with the project's build backend, without the network."""

import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["wheel"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=Path(__file__).parents[1], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built
