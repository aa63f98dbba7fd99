"""A package that does not work is one message: which, what is wrong, and how to repair it."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from covergen.core.dependencies import check_dependencies, dependency_names
from covergen.core.errors import DependencyError


def run_with_broken(
    package: str, content: str, tmp_path: Path, *command: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run covergen in an environment where importing `package` executes `content`."""
    (tmp_path / "broken" / package).mkdir(parents=True)
    (tmp_path / "broken" / package / "__init__.py").write_text(content)
    return subprocess.run(
        [sys.executable, "-m", "covergen", *map(str, command)],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "broken")},
        capture_output=True,
        text=True,
        check=False,
    )


UNDEFINED = "raise OSError('libtorchaudio.abi3.so: undefined symbol: torch_exception_get_what')"


def test_a_demo_with_a_broken_torchaudio_makes_nothing_and_says_how_to_repair_it(
    tmp_path: Path,
) -> None:
    done = run_with_broken("torchaudio", UNDEFINED, tmp_path, "demo", tmp_path / "demo")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"torchaudio {metadata.version('torchaudio')} is installed" in done.stderr
    assert "undefined symbol" in done.stderr
    assert "covergen needs torchaudio==" in done.stderr
    assert f"{sys.executable} -m pip install --force-reinstall" in done.stderr
    assert '"torch' in done.stderr.splitlines()[-1]  # the pair is repaired together
    assert not (tmp_path / "demo").exists()


def test_a_package_that_raises_anything_is_a_message(tmp_path: Path) -> None:
    content = "raise RuntimeError('compiled with different CUDA major versions')"
    done = run_with_broken("torchaudio", content, tmp_path, "demo", tmp_path / "demo")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "different CUDA major versions" in done.stderr


@pytest.mark.parametrize("package", ["mutagen", "click", "platformdirs", "tqdm"])
@pytest.mark.parametrize("error", ["ImportError", "RuntimeError", "OSError"])
def test_any_broken_package_is_a_message(package: str, error: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp3").touch()
    content = f"raise {error}('it is broken')"
    done = run_with_broken(package, content, tmp_path, "tag", "--dry-run", tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "cannot be imported (it is broken)" in done.stderr


def test_another_version_than_required(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "1.0" if name == "diffusers" else installed(name)
    )
    with pytest.raises(DependencyError, match=r"diffusers is installed in version 1\.0; .* needs"):
        check_dependencies(["torch", "diffusers"])


def test_a_missing_package() -> None:
    with pytest.raises(DependencyError, match="no-such-package is not installed"):
        check_dependencies(["no-such-package"])


def test_the_packages_here_work() -> None:
    names = dependency_names()
    assert {"torch", "torchaudio", "mutagen", "click"} <= set(names)
    assert "pytest" not in names
    check_dependencies(names)
