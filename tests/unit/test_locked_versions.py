"""The installed versions are the locked ones, and the README installs from the lock."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]
LOCK = CHECKOUT / ".requirements.lock"


def locked() -> dict[str, str]:
    """The locked versions by name, for this Python and platform."""
    lines = [line for line in LOCK.read_text().splitlines() if line and line[0] != "#"]
    requirements = [Requirement(line) for line in lines]
    return {
        canonicalize_name(r.name): str(r.specifier).removeprefix("==")
        for r in requirements
        if r.marker is None or r.marker.evaluate()
    }


def closure() -> set[str]:
    """The names of covergen's requirements, including `dev`, and all of theirs, as installed."""
    found: set[str] = set()
    pending = [Requirement("covergen[dev]")]
    while pending:
        requirement = pending.pop()
        for line in metadata.requires(requirement.name) or []:
            wanted = Requirement(line)
            extras = requirement.extras or {""}
            if wanted.marker and not any(wanted.marker.evaluate({"extra": e}) for e in extras):
                continue
            name = canonicalize_name(wanted.name)
            if name not in found or wanted.extras:
                found.add(name)
                pending.append(
                    Requirement(name + (f"[{','.join(wanted.extras)}]" if wanted.extras else ""))
                )
    return found


def requirements() -> list[Requirement]:
    """The requirements in pyproject.toml, including `dev`."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return [Requirement(line) for line in lines]


def test_installed_versions_are_locked() -> None:
    versions = locked()
    for name in closure():
        assert name in versions, f"{name} is not locked: run .ci/lock"
        assert metadata.version(name).split("+")[0] == versions[name], name


def test_lock_satisfies_pyproject() -> None:
    versions = locked()
    for requirement in requirements():
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_torch_and_torchaudio_are_pinned_to_matching_minor_versions() -> None:
    specifiers = {requirement.name: requirement.specifier for requirement in requirements()}
    assert not specifiers["torch"].contains("2.15.0")
    assert not specifiers["torch"].contains("2.13.0")
    assert not specifiers["torchaudio"].contains("2.11.0")


def test_readme_installs_from_the_lock() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    commands = re.findall(r"^python3 -m venv .*$", readme, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert f"pip install -q -c {LOCK.name} " in command
