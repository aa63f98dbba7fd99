"""A missing, outdated or broken package gives one message that names it and the repair."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from covergen.core.dependencies import check_dependencies, dependency_names
from covergen.core.errors import DependencyError

pytestmark = pytest.mark.processes


def run_with_broken(package: str, code: str, folder: Path, *command: str | Path) -> str:
    """Run covergen where importing `package` executes `code`; return stderr."""
    (folder / "broken" / package).mkdir(parents=True)
    (folder / "broken" / package / "__init__.py").write_text(code)
    result = subprocess.run(
        [sys.executable, "-m", "covergen", *map(str, command)],
        env=os.environ | {"PYTHONPATH": str(folder / "broken")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    return result.stderr


def test_broken_torchaudio_stops_the_demo_with_a_repair_command(tmp_path: Path) -> None:
    code = "raise OSError('libtorchaudio.abi3.so: undefined symbol: torch_exception_get_what')"
    message = run_with_broken("torchaudio", code, tmp_path, "demo", tmp_path / "demo")
    assert f"torchaudio {metadata.version('torchaudio')} is installed" in message
    assert "undefined symbol" in message
    assert "covergen needs torchaudio==" in message
    assert f"{sys.executable} -m pip install --force-reinstall" in message
    assert '"torch' in message.splitlines()[-1]  # torch and torchaudio are repaired together
    assert not (tmp_path / "demo").exists()


def test_broken_package_is_reported(tmp_path: Path) -> None:
    code = "raise RuntimeError('it is broken')"
    message = run_with_broken("click", code, tmp_path, "runs")
    assert "cannot be imported (it is broken)" in message


def test_unsupported_version(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "1.0" if name == "diffusers" else installed(name)
    )
    with pytest.raises(DependencyError, match=r"diffusers is installed in version 1\.0; .* needs"):
        check_dependencies(["torch", "diffusers"])


def test_missing_package() -> None:
    with pytest.raises(DependencyError, match="no-such-package is not installed"):
        check_dependencies(["no-such-package"])


def test_installed_packages_pass() -> None:
    names = dependency_names()
    assert {"torch", "torchaudio", "mutagen", "click"} <= set(names)
    assert "pytest" not in names
    check_dependencies(names)
