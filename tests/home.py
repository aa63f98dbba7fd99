"""Where covergen's own files are: in a folder of the test, or of a fixture that is made once."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from covergen.cli.main import cli

__all__ = ["run_at_home", "set_home"]


def set_home(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the home be a folder, with the cache, config and state in it."""
    for name in ("CACHE", "CONFIG", "STATE", "DATA"):
        patch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
    patch.setenv("HOME", str(folder))


def run_at_home(folder: Path, *arguments: object) -> Result:
    """Run `covergen ARGUMENTS`, which must succeed, with its own files in a folder."""
    words = [str(word) for word in arguments]
    with pytest.MonkeyPatch.context() as patch:
        set_home(patch, folder)
        result = CliRunner().invoke(cli, words, prog_name="covergen", catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result
