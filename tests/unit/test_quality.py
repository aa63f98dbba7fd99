"""Lint, format, types and import contracts, checked with the commands that developers run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize("command", ["ruff check .", "ruff format --check .", "lint-imports"])
def test_check_passes(command: str) -> None:
    program, *arguments = command.split()
    result = subprocess.run(
        [BIN / program, *arguments],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_types_are_correct(mypy: "subprocess.Popen[str]") -> None:
    output, _ = mypy.communicate()
    assert mypy.returncode == 0, output
