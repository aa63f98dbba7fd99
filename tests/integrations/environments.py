"""Programs from PyPI and npm in environments of their own, which are kept for the next time."""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

__all__ = ["node_modules_with", "python_with"]


def python_with(*requirements: str) -> Path:
    """Python with these packages. Skips the test if they cannot be installed."""

    def make(folder: Path) -> None:
        venv.create(folder, with_pip=True)
        pip = [folder / "bin/python", "-m", "pip", "--disable-pip-version-check", "install", "-q"]
        _install([*pip, "--retries", "0", "--timeout", "10", *requirements])

    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _kept("-".join((*requirements, version)), make) / "bin/python"


def node_modules_with(*packages: str) -> Path:
    """A folder in which Node.js finds these packages. Skips the test like `python_with`."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js with npm is not installed")

    def make(folder: Path) -> None:
        options = ["--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=10000"]
        places = ["--prefix", folder, "--cache", folder / "cache"]
        _install([npm, "install", "--loglevel=error", *options, *places, *packages])

    return _kept("-".join(packages), make)


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    name = f"covergen-{name}-{os.getuid()}"
    kept = Path(tempfile.gettempdir()) / name
    if not kept.exists():
        made = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        try:
            make(made)
            made.replace(kept)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return kept


def _install(command: Sequence[str | Path]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"{command[-1]} cannot be installed: {result.stderr[-200:]}")
