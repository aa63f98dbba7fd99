"""The contents of the wheel, and that it works without a checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

CHECKOUT = Path(__file__).parents[2]
# How the starter is trained and evaluated.
TRAINING = tuple(
    f"covergen/starter/{name}"
    for name in ("recipe/", "evaluation/", "train.py", "evaluate.py", "reference_music.py")
)


def run(*arguments: str | Path, cwd: Path, **environment: str) -> str:
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-index", "--no-compile", "--quiet", "--target", str(folder)]
    run("-m", "pip", "--disable-pip-version-check", "install", *options, wheel, cwd=folder)
    return folder


def test_wheel_contains_the_whole_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    version = wheel.name.split("-")[1]
    folders = {"covergen", f"covergen-{version}.dist-info", "beetsplug"}
    assert {name.split("/")[0] for name in names} == folders
    # beets' plugins are a namespace package: an __init__.py would hide the others.
    assert {name for name in names if name.startswith("beetsplug")} == {"beetsplug/covergen.py"}
    assert {
        "covergen/typography/fonts/Inter.ttf",
        "covergen/typography/fonts/Inter-LICENSE.txt",
    } <= names
    assert {"covergen/models.toml", "covergen/py.typed"} <= names
    modules = {p.relative_to(CHECKOUT).as_posix() for p in CHECKOUT.glob("covergen/**/*.py")}
    assert {name for name in modules - names if not name.startswith(TRAINING)} == {
        "covergen/integrations/beets.py"  # beetsplug/covergen.py
    }
    assert not [name for name in names if name.startswith(TRAINING)]
    assert not [name for name in names if "__pycache__" in name]


def test_installed_wheel_has_a_script_and_reads_its_own_models(
    installed: Path, tmp_path: Path
) -> None:
    assert "from covergen.__main__ import main" in (installed / "bin" / "covergen").read_text()
    script = (
        "import covergen\n"
        "from covergen.models.presets import load_presets\n"
        "sd15 = load_presets()['sd15']\n"
        "print(covergen.__file__, sd15.defined_in, sd15.base, sep='\\n')\n"
    )
    printed = run("-c", script, cwd=tmp_path, PYTHONPATH=str(installed)).splitlines()
    assert printed == [
        str(installed / "covergen" / "__init__.py"),
        str(installed / "covergen/models.toml"),
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
    ]
