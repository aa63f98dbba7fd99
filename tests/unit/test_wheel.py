"""The wheel: what is in it, and that it works where there is no checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def run(*arguments: str | Path, cwd: Path, **environment: str) -> str:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the project's own build backend, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    run("-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=CHECKOUT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-index", "--no-compile", "--quiet", "--target", str(folder)]
    run("-m", "pip", "--disable-pip-version-check", "install", *options, wheel, cwd=folder)
    return folder


def test_nothing_but_the_package_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    version = wheel.name.split("-")[1]
    assert {name.split("/")[0] for name in names} == {"covergen", f"covergen-{version}.dist-info"}
    assert {"covergen/models.toml", "covergen/py.typed", "covergen/__main__.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    sources = {p.relative_to(CHECKOUT).as_posix() for p in CHECKOUT.glob("covergen/**/*.py")}
    with zipfile.ZipFile(wheel) as archive:
        assert sources <= set(archive.namelist())


def test_the_console_script_is_installed(installed: Path) -> None:
    script = (installed / "bin" / "covergen").read_text()
    assert "from covergen.__main__ import main" in script


def test_an_installed_wheel_reads_its_own_models(installed: Path, tmp_path: Path) -> None:
    script = (
        "import covergen\n"
        "from covergen.models.presets import load_presets\n"
        "sd15 = load_presets()['sd15']\n"
        "print(covergen.__file__, sd15.defined_in, sd15.base, sep='\\n')\n"
    )
    printed = run("-c", script, cwd=tmp_path, PYTHONPATH=str(installed)).splitlines()
    assert printed == [
        str(installed / "covergen" / "__init__.py"),
        str(installed / "covergen" / "models.toml"),
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
    ]
